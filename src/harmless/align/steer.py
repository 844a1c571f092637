"""Steering: no weight is trained; a direction is added to the hidden states of one layer.

The direction is the difference between the mean state behind harmful prompts and that behind benign ones, at
the place where the reply begins (Turner et al. 2023; Arditi et al. 2024).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harmless.align.drafts import Draft
from harmless.align.run import MANIFEST
from harmless.core import Expect
from harmless.errors import UsageError
from harmless.internals.chat import encode
from harmless.internals.hidden import states
from harmless.internals.layers import decoder_layers
from harmless.internals.model import LocalModel
from harmless.internals.steering import Steering, difference_in_means
from harmless.targets.steered import FILE

#: Name of the method.
STEER = "steer"
#: Share of the model's depth whose layer is steered, unless another is named.
DEPTH = 0.5


def direction(local: LocalModel, drafts: Sequence[Draft], layer: int | None, strength: float) -> Steering:
    """Return what is added so that replies begin as those to harmful prompts do.

    Args:
        local: the model.
        drafts: prompts with what is expected, of both kinds.
        layer: 1 is the first; None takes the one at ``DEPTH``.
        strength: how many times the difference of the means is added.

    Raises:
        UsageError: there are no prompts of one kind, the model has no such layer, or the strength is no number.
    """
    if not math.isfinite(strength):
        raise UsageError(f"A direction cannot be added {strength} times.", "Give --strength a number.")
    depth = len(decoder_layers(local.model))
    at = max(1, round(DEPTH * depth)) if layer is None else layer
    if not 1 <= at <= depth:
        raise UsageError(f"The model has no layer {at}.", f"Its layers are 1 to {depth}.")
    means = []
    for expect in (Expect.REFUSE, Expect.ANSWER):
        encoded = [encode(local, each.conversation) for each in drafts if each.expect is expect]
        if not encoded:
            raise UsageError("Steering needs harmful and benign prompts.", "Give both with --data.")
        means.append(states(local, encoded, [at], pool="last")[:, 0])
    return Steering({at: (strength * difference_in_means(*means)).astype(np.float32)})


def write(
    folder: Path, steering: Steering, spec: str, drafts: Sequence[Draft], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Write ``steering.npz`` and the manifest, which keeps what was ``asked`` for, and return the manifest."""
    steering.save(folder / FILE)
    ((layer, vector),) = steering.vectors.items()
    manifest = {
        "method": STEER,
        "asked": dict(asked),
        "base": {"target": spec},
        "layer": layer,
        "norm": round(float(np.linalg.norm(vector)), 3),
        "prompts": len(drafts),
        "target": f"steered:{folder}:{spec}",
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest
