"""Heads that are trained by themselves: ``harmless guard train --head NAME``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from harmless.errors import UnknownNameError, UsageError
from harmless.guards.linear import FORMAT, LinearModel, describe, pack
from harmless.guards.train.rows import Rows
from harmless.guards.train.run import TrainReport, median

Trainer: TypeAlias = Callable[
    [Path | None, int, Callable[[str], None]], tuple[LinearModel, dict[str, Any], Rows]
]
"""Takes the folder of data, a seed and what to tell of progress; returns the head, its metadata and its
rows."""

HEADS = {
    "profanity": "harmless.guards.train.profanity:train_profanity",
    "injection": "harmless.guards.train.injection:train_injection",
    "hazard": "harmless.guards.train.hazard:train_hazard",
}
"""The heads by name, and what trains them."""
MAIN = {"profanity": "auroc", "injection": "auroc, both", "hazard": "leaf accuracy"}
"""The metric by which the seed in the middle is found."""


def train_head(
    name: str,
    out: Path,
    *,
    data: Path | None = None,
    seeds: Sequence[int] = (0,),
    progress: Callable[[str], None] = lambda step: None,
) -> TrainReport:
    """Train one head with every seed, and write the artefact of the seed in the middle to ``out``.

    Args:
        name: one of ``HEADS``.
        out: folder for ``NAME.npz`` and ``NAME.json``; made if it is missing.
        data: folder with the files that ``sources.yaml`` names, or None to load the sets by their public ids.
        seeds: all are measured; the model is written that is in the middle by the metric in ``MAIN``.
        progress: called with one line before each step.

    Raises:
        UnknownNameError: there is no such head.
        UsageError: no seed.
        BadFileError, MissingExtraError: as :func:`harmless.guards.train.rows.load`.
    """
    if name not in HEADS:
        raise UnknownNameError("head", name, HEADS)
    if not seeds:
        raise UsageError("Training needs at least one seed.", "Pass for example --seeds 0 1 2.")
    module, _, function = HEADS[name].partition(":")
    trainer: Trainer = getattr(import_module(module), function)
    runs = [trainer(data, seed, progress) for seed in seeds]
    metrics = {key: [run[1]["metrics"][key] for run in runs] for key in runs[0][1]["metrics"]}
    middle = median(metrics[MAIN[name]])
    model, notes, rows = runs[middle]
    described = describe(model) | {
        "format": FORMAT,
        "name": name,
        "licence": "Apache-2.0",
        "seeds": list(seeds),
        "seed": seeds[middle],
        "data": {"digests": rows.digests, "licences": rows.licences, "left_out": dict(rows.left_out)},
        **notes,
        "metrics": metrics,
    }
    progress("writing the artefact")
    out.mkdir(parents=True, exist_ok=True)
    arrays, metadata = out / f"{name}.npz", out / f"{name}.json"
    arrays.write_bytes(pack(model))
    metadata.write_text(json.dumps(described, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    counts = {source: len(found) for source, found in rows.by_source.items()}
    return TrainReport(metrics, (arrays, metadata), counts, dict(rows.left_out))
