"""``probe(FOLDER)``: what a local model itself sees in a prompt, read off its hidden states (extra ``hf``).

A linear probe on a middle layer; trained for a model by ``harmless guard train --head probe --model MODEL``. In
front of that very model (``guarded:probe(FOLDER):hf:MODEL``) it is a hidden-state gate.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray

from harmless.core import Exchange, Finding, GuardInfo, Outcome, Verdict, digest
from harmless.errors import BadFileError, UsageError
from harmless.guards.batches import judge_each
from harmless.internals.chat import encode
from harmless.internals.hidden import states
from harmless.internals.model import LocalModel
from harmless.internals.probe import Probe
from harmless.targets.local import open_model

NAME = "probe"


class ProbeGuard:
    """Judges the last user message in its conversation, whatever the reply.

    The score is a calibrated probability of harm, as that of ``embedded``.

    Args:
        local: the model that the probe was fitted on.
        probe: the probe.
        fitted: ``calibration`` (slope and intercept on the probe's log-odds), ``threshold``, ``licence``.
    """

    def __init__(self, local: LocalModel, probe: Probe, fitted: dict[str, Any]) -> None:
        self._local, self._probe, self._fitted = local, probe, fitted
        weights = digest(probe.weight.tobytes().hex(), probe.bias, probe.layer, probe.pool)
        self._info = GuardInfo(
            name=f"probe({local.name})",
            revision=digest(local.revision, weights, fitted["calibration"], fitted["threshold"]),
            sees="prompt",
            threshold=fitted["threshold"],
            licence=fitted["licence"],
            needs=("hf", "a model"),
        )
        self._turn = anyio.CapacityLimiter(1)

    @property
    def info(self) -> GuardInfo:
        """Name, revision of model and probe, and the threshold fixed in training."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; the model runs in a thread, one batch at a time."""
        return await run_sync(judge_each, exchanges, self._verdicts, limiter=self._turn)

    def _verdicts(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        started = time.perf_counter()
        encoded = [encode(self._local, each.conversation) for each in exchanges]
        longest = max((each.prompt for each in encoded), default=0)
        if self._local.context and longest > self._local.context:
            raise ValueError(f"context overflow: {longest} tokens, the context holds {self._local.context}")
        if not encoded:
            return []
        found = states(self._local, encoded, [self._probe.layer], pool=self._probe.pool)
        chances = chances_of(self._probe, found[:, 0], self._fitted["calibration"])
        each = (time.perf_counter() - started) / len(exchanges)
        return [self._verdict(float(chance), each) for chance in chances]

    def _verdict(self, chance: float, latency_s: float) -> Verdict:
        if not math.isfinite(chance):
            return Verdict.unassessed(f"{self._info.name}: the hidden states are no numbers")
        unsafe = chance >= self._info.threshold
        return Verdict(
            outcome=Outcome.UNSAFE if unsafe else Outcome.SAFE,
            score=chance,
            findings=(Finding(rule=NAME, score=chance),) if unsafe else (),
            latency_s=latency_s,
        )


def chances_of(probe: Probe, seen: NDArray[np.float32], calibration: Sequence[float]) -> NDArray[np.float64]:
    """Return the calibrated probabilities of harm for states of shape (n, width)."""
    logits = probe.log_odds(seen) * calibration[0] + calibration[1]
    found: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
    return found


def probe(folder: str, model: str | None = None) -> ProbeGuard:
    """Return the guard.

    Args:
        folder: where ``harmless guard train --head probe`` wrote ``probe.npz`` and ``probe.json``.
        model: the model, if it is no longer where it was in training.

    Raises:
        BadFileError: there is no whole probe in the folder.
        UsageError: the model is not the one that the probe was fitted on.
    """
    place = Path(folder)
    found = Probe.load(place / f"{NAME}.npz")
    try:
        fitted = json.loads((place / f"{NAME}.json").read_text(encoding="utf-8"))
        spec = model or fitted["model"]
        fitted = {key: fitted[key] for key in ("calibration", "threshold", "licence")}
    except (OSError, ValueError, KeyError) as error:
        raise BadFileError(
            place / f"{NAME}.json", f"This does not describe a probe: {error}.", next_step="Train it again."
        ) from None
    local = open_model(spec)
    if local.revision != found.model:
        raise UsageError(
            f"The probe in {folder} was fitted on another model, or with another torch or transformers.",
            f"Train one for this model: harmless guard train --head probe --model {spec} --out FOLDER",
        )
    return ProbeGuard(local, found, fitted)
