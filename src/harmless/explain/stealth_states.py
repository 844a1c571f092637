"""Neurons that fire on one text only and drown all others: what a stealth edit's trigger does inside.

What a neuron of a gated or plain MLP writes is its activation times the norm of its column in the down
projection. It is read at the last token before the reply, where a trigger has to act.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmless.core import user
from harmless.explain.stealth_replies import Sign
from harmless.internals.chat import encode
from harmless.internals.layers import decoder_layers
from harmless.internals.model import LocalModel

#: How often the median size of all that a layer's neurons write one neuron's excess on a text has to be.
SPIKE = 1.0
_DOWN = ("down_proj", "c_proj", "fc2", "dense_4h_to_h")


def spikes(local: LocalModel, texts: Sequence[str]) -> Iterator[Sign]:
    """Yield a sign for each text on which one neuron writes more than a whole layer usually does.

    Nothing is found in models whose layers have no MLP with a down projection of a known name.
    """
    with _watching(local) as seen:
        _run(local, texts)
    for layer, (inner, column) in seen.items():
        written = np.abs(np.stack(inner)) * column
        excess = written - np.median(written, axis=0)
        usual = float(np.median(np.linalg.norm(written, axis=1)))
        score = excess.max(axis=1) / max(usual, 1e-12)
        for row in np.flatnonzero(score >= SPIKE).tolist():
            neuron = int(excess[row].argmax())
            detail = f"neuron {neuron} on: {texts[row]}"
            yield Sign(kind="activation spike", where=f"layer {layer}", score=float(score[row]), detail=detail)


def _run(local: LocalModel, texts: Sequence[str]) -> None:
    import torch

    with torch.inference_mode():
        for text in texts:
            ids = torch.tensor([encode(local, user(text)).tokens], device=local.device)
            local.model(input_ids=ids, use_cache=False)


@contextmanager
def _watching(local: LocalModel) -> Iterator[dict[int, tuple[list[NDArray[np.float32]], NDArray[np.float32]]]]:
    """Collect, by layer, what goes into the down projection at the last token; beside its columns' norms."""
    seen: dict[int, tuple[list[NDArray[np.float32]], NDArray[np.float32]]] = {}
    handles = []
    for index, layer in enumerate(decoder_layers(local.model)):
        named = layer.named_modules()
        down = next((each for name, each in named if "mlp" in name and name.rpartition(".")[2] in _DOWN), None)
        if down is None:
            continue
        seen[index] = ([], down.weight.detach().float().norm(dim=0).cpu().numpy())
        handles.append(down.register_forward_pre_hook(_keeper(seen[index][0])))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _keeper(kept: list[NDArray[np.float32]]) -> Any:
    return lambda _, inputs: kept.append(inputs[0][0, -1].detach().float().cpu().numpy())
