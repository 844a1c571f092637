"""Train the guard ``probe`` for a local model: which layer, the probe, its calibration and its threshold."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harmless.core import user
from harmless.guards.probe import NAME, chances_of
from harmless.guards.train import contamination, own, prompt
from harmless.guards.train.fit import auroc
from harmless.guards.train.groups import folds
from harmless.guards.train.prompt import PromptRows
from harmless.guards.train.rows import load
from harmless.guards.train.run import TrainReport
from harmless.internals.chat import encode
from harmless.internals.hidden import Pool, states
from harmless.internals.layers import decoder_layers
from harmless.internals.model import LocalModel
from harmless.internals.probe import Probe, fit
from harmless.targets.local import open_model

DEPTHS = (0.5, 0.63, 0.75)
"""Shares of the model's depth that are tried; what a prompt means is clearest behind the middle."""
POOL: Pool = "both"
ROWS = 1600
"""Prompts that are read at most: some minutes of a core for the bundled model."""
LONGEST = 600
"""Characters of a prompt; longer ones are left out, as their hidden states cost the most."""
FOLDS = 6
"""One for choosing the layer, one for calibration and threshold, the rest to fit on."""


@dataclass(frozen=True)
class _Read:
    """What was read of the model: rows, their folds, and states of shape (rows, layers, width)."""

    data: PromptRows
    fold: NDArray[np.int64]
    layers: list[int]
    seen: NDArray[np.float32]

    def fitted(self, place: int, rows: NDArray[np.int64], model: str) -> Probe:
        labels = self.data.labels[rows] == 1
        return fit(self.seen[rows, place], labels, layer=self.layers[place], pool=POOL, model=model)


def _part(data: PromptRows, index: NDArray[np.int64]) -> PromptRows:
    rows = [data.rows[i] for i in index]
    return replace(
        data, rows=rows, labels=data.labels[index], weights=data.weights[index], groups=data.groups[index]
    )


def train_probe(
    out: Path,
    model: str,
    *,
    data: Path | None = None,
    seeds: Sequence[int] = (0,),
    evaluations: Sequence[Path] = (),
    progress: Callable[[str], None] = lambda step: None,
) -> TrainReport:
    """Fit a probe to the hidden states of ``model`` and write ``probe.npz`` and ``probe.json`` to ``out``.

    Rows are those of ``embedded``. The layer is chosen on one sixth of the groups of near-duplicates,
    calibration and threshold are fixed on another, so neither has seen the other. The first seed's probe is
    written, all are measured.

    Raises:
        UsageError: the model is not one that can be opened, or has no chat template.
        BadFileError, MissingExtraError: as :func:`harmless.guards.train.rows.load`.
    """
    progress("loading rows")
    suites = contamination.suites(evaluations)
    rows = contamination.cleaned(load(data), suites)
    everything = prompt.collect(rows, np.random.default_rng(seeds[0]), suites)
    chosen = _chosen(everything, np.random.default_rng(seeds[0]))
    progress("opening the model")
    local = open_model(model)
    read = _read(local, chosen, progress)
    runs = [_one(replace(read, fold=_folds(read, seed)), local.revision) for seed in seeds]
    probe, about, _ = runs[0]
    metrics = {name: [run[2][name] for run in runs] for name in runs[0][2]}
    progress("writing the probe")
    probe.save(out / f"{NAME}.npz")
    described = about | {
        "model": model,
        "layer": probe.layer,
        "pool": probe.pool,
        "licence": "Apache-2.0",
        "seeds": list(seeds),
        "metrics": metrics,
        "data": {"digests": rows.digests, "licences": rows.licences, "left_out": dict(rows.left_out)},
    }
    path = out / f"{NAME}.json"
    path.write_text(json.dumps(described, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sources, counts = np.unique(chosen.sources, return_counts=True)
    per_source = {str(source): int(count) for source, count in zip(sources, counts, strict=True)}
    return TrainReport(metrics, (out / f"{NAME}.npz", path), per_source, dict(rows.left_out))


def _chosen(data: PromptRows, rng: np.random.Generator) -> PromptRows:
    """Return at most ``ROWS`` short rows: half of them pairs, a quarter ordinary ones, the rest others."""
    short = np.array([len(row.prompt) <= LONGEST for row in data.rows])
    pairs, ordinary = data.sources == own.PAIRS, data.sources == own.ORDINARY
    ids = np.array([row.goal for row in data.rows])
    names = rng.permutation(np.unique(ids[pairs]))[: ROWS // 4]
    kept = [np.flatnonzero(short & pairs & np.isin(ids, names))]
    kept.append(rng.permutation(np.flatnonzero(short & ordinary))[: ROWS // 4])
    for label in (0, 1):
        others = np.flatnonzero(short & ~pairs & ~ordinary & (data.labels == label))
        kept.append(rng.permutation(others)[: ROWS // 8])
    return _part(data, np.sort(np.concatenate(kept)))


def _read(local: LocalModel, data: PromptRows, progress: Callable[[str], None]) -> _Read:
    depth = len(decoder_layers(local.model))
    layers = sorted({max(1, round(share * depth)) for share in DEPTHS})
    encoded = [encode(local, user(text)) for text in data.texts]
    tenth = max(1, len(encoded) // 10)
    told = [0]

    def observe(done: int) -> None:
        if done // tenth > told[0]:
            told[0] = done // tenth
            progress(f"hidden states: {done} of {len(encoded)} prompts")

    seen = states(local, encoded, layers, pool=POOL, observe=observe)
    return _Read(data, data.groups, layers, seen)


def _folds(read: _Read, seed: int) -> NDArray[np.int64]:
    return folds(read.data.groups, FOLDS, np.random.default_rng(seed))


def _one(read: _Read, revision: str) -> tuple[Probe, dict[str, object], dict[str, float]]:
    """Return the probe of one seed, what goes with it, and its figures on the rows it has not seen."""
    train, choose, hold = (np.flatnonzero(w) for w in (read.fold > 1, read.fold == 0, read.fold == 1))
    labels = read.data.labels
    by_layer = []
    for place in range(len(read.layers)):
        odds = read.fitted(place, train, revision).log_odds(read.seen[choose, place])
        by_layer.append(auroc(labels[choose], odds))
    place = int(np.argmax(by_layer))
    probe = read.fitted(place, np.concatenate([train, choose]), revision)
    odds = probe.log_odds(read.seen[hold, place])
    calibration, threshold, metrics = prompt.calibrate(_part(read.data, hold), odds)
    flagged = chances_of(probe, read.seen[hold, place], calibration) >= threshold
    pairs = read.data.sources[hold] == own.PAIRS
    for name, label in (("pairs_found", 1), ("pairs_benign_flagged", 0)):
        metrics[name] = float(flagged[pairs & (labels[hold] == label)].mean())
    metrics["auroc_pairs"] = auroc(labels[hold][pairs], odds[pairs])
    metrics |= {f"auroc_layer_{layer}": score for layer, score in zip(read.layers, by_layer, strict=True)}
    return probe, {"calibration": calibration, "threshold": threshold}, metrics
