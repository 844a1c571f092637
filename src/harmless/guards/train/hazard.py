"""Train the heads that name the hazard of a prompt: six domains and the leaves, with abstention at each
level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmless import taxonomy
from harmless.guards.features import hashed
from harmless.guards.hazard import Tree, tree
from harmless.guards.linear import LinearModel, softmax
from harmless.guards.train import contamination
from harmless.guards.train.fit import How, fit, matrix
from harmless.guards.train.groups import folds, near_duplicates
from harmless.guards.train.prompt import DOMAINS
from harmless.guards.train.rows import Rows, leaf_of_choices, load

FOLDS = 5
BITS, DAMPING, PENALTY = 15, 20.0, 0.3
KEPT = {"domain": 5000, "leaf": 1000}
"""Weights that each head keeps, the largest ones, so that the artefact stays small."""
RIGHT = {"leaf": 0.7, "task": 0.7}
"""How often what is named at a level has to be right."""


@dataclass(frozen=True)
class HazardRows:
    """Prompts with the number of their domain and of their leaf (-1 if only the domain is known), and
    groups."""

    texts: list[str]
    domains: NDArray[np.int64]
    leaves: NDArray[np.int64]
    groups: NDArray[np.int64]
    tree: Tree


def collect(rows: Rows, leaves: dict[str, str]) -> HazardRows:
    """Return all harmful prompts that have a domain; ``leaves`` are the keys of prompts whose leaf is known."""
    named = {r.prompt: r.domain for name in ("harmful", "choices") for r in rows.by_source[name] if r.domain}
    keys = sorted(set(leaves.values()), key=lambda key: int(key.rpartition("O")[2]))
    known = tree([*(f"salad.d.{each}" for each in DOMAINS), *keys])
    texts = list(named)
    own = [taxonomy.load().rollup(leaves[t], "domain").code if t in leaves else named[t] for t in texts]
    domains = np.array([DOMAINS.index(each) for each in own])
    index = np.array([known.leaves.index(leaves[t]) if t in leaves else -1 for t in texts])
    return HazardRows(texts, domains, index, near_duplicates(texts), known)


def fit_heads(data: HazardRows, index: NDArray[np.int64], seed: int) -> LinearModel:
    """Return the heads: logistic regressions for the domains, one ridge regression for all leaves."""
    features = hashed([data.texts[i] for i in index], BITS)
    how = How(tuple(data.tree.domains), strength=8.0, damping=DAMPING, bits=BITS, seed=seed)
    domain = fit([features], data.domains[index], how)
    rows = np.flatnonzero(data.leaves[index] >= 0)
    weights, bias = ridge(
        matrix(features.take(rows), domain.idf, DAMPING), data.leaves[index][rows], len(data.tree.leaves)
    )
    return replace(
        domain,
        heads=(*data.tree.domains, *data.tree.leaves),
        weights=np.concatenate([_pruned(domain.weights, KEPT["domain"]), _pruned(weights, KEPT["leaf"])]),
        bias=np.concatenate([domain.bias, bias]),
        dense=np.zeros((len(data.tree.domains) + len(data.tree.leaves), 0), np.float32),
    )


def ridge(
    table: Any, labels: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (classes, columns) weights and biases of a ridge regression on the classes, by its dual.

    Few rows for many classes: one system of equations serves all of them.
    """
    wanted = np.eye(classes)[labels]
    bias = wanted.mean(axis=0)
    gram = (table @ table.T).toarray() + PENALTY * np.eye(len(labels))
    dual = np.linalg.solve(gram, wanted - bias)
    return np.asarray((table.T @ dual).T, np.float32), bias.astype(np.float32)


def out_of_fold(data: HazardRows, seed: int) -> NDArray[np.float64]:
    """Return the (rows, heads) scores from heads that have not seen a row's group."""
    fold = folds(data.groups, FOLDS, np.random.default_rng(seed))
    scores = np.zeros((len(data.texts), len(data.tree.domains) + len(data.tree.leaves)))
    for held in range(FOLDS):
        model = fit_heads(data, np.flatnonzero(fold != held), seed)
        test = np.flatnonzero(fold == held)
        features = hashed([data.texts[i] for i in test], BITS)
        scores[test] = matrix(features, model.idf, DAMPING) @ model.weights.T + model.bias
    return scores


def train_hazard(
    data: Path | None, seed: int, progress: Callable[[str], None] = lambda step: None
) -> tuple[LinearModel, dict[str, Any], Rows]:
    """Return the heads, what the metadata says (slopes, thresholds, quality), and the rows they were trained
    on."""
    rows = contamination.cleaned(load(data), contamination.suites())
    known = collect(rows, leaf_of_choices(data))
    progress(f"seed {seed}: hazards, cross-validated")
    scores = out_of_fold(known, seed)
    count, fine = len(known.tree.domains), known.leaves >= 0
    slopes = [_slope(scores[:, :count], known.domains), _slope(scores[fine, count:], known.leaves[fine])]
    thresholds, metrics = levels(known, scores, slopes)
    progress(f"seed {seed}: hazards, final heads")
    model = fit_heads(known, np.arange(len(known.texts)), seed)
    return model, {"slopes": slopes, "thresholds": thresholds, "metrics": metrics}, rows


def levels(
    data: HazardRows, scores: NDArray[np.float64], slopes: list[float]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the threshold of each level, and accuracy and coverage, on the rows whose leaf is known."""
    fine = np.flatnonzero(data.leaves >= 0)
    domains, leaves = data.tree.chances(scores[fine], slopes)
    names = data.tree.tasks
    tasks = data.tree.task_chances(leaves)
    truth = {
        "leaf": data.leaves[fine],
        "task": np.array([names.index(data.tree.task_of[i]) for i in data.leaves[fine]]),
        "domain": data.domains[fine],
    }
    chances = {"leaf": leaves, "task": tasks, "domain": domains}
    thresholds, metrics = {}, {}
    every = scores[:, : len(data.tree.domains)].argmax(axis=1) == data.domains
    metrics["domain accuracy, all rows"] = float(every.mean())
    metrics["domain majority, all rows"] = float(np.bincount(data.domains).max() / len(data.domains))
    for level, chance in chances.items():
        right, sure = chance.argmax(axis=1) == truth[level], chance.max(axis=1)
        metrics[f"{level} accuracy"] = float(right.mean())
        if level in RIGHT:
            thresholds[level] = _least(right, sure, RIGHT[level])
            named = sure >= thresholds[level]
            metrics[f"{level} named"] = float(named.mean())
            metrics[f"{level} right where named"] = float(right[named].mean()) if named.any() else 0.0
    return thresholds, {name: round(value, 4) for name, value in metrics.items()}


def _least(right: NDArray[np.bool_], sure: NDArray[np.float64], wanted: float) -> float:
    """Return the lowest probability at and above which the share ``wanted`` is right."""
    order = np.argsort(-sure, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(share >= wanted)
    return round(float(sure[order[good[-1]]]), 4) if len(good) else 1.0


def _slope(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the factor of the scores under which the softmax makes the labels most likely."""
    rows = np.arange(len(labels))
    grid = np.geomspace(0.3, 60, 60)
    fits = [np.log(np.maximum(softmax(scores * each)[rows, labels], 1e-12)).mean() for each in grid]
    return float(grid[int(np.argmax(fits))])


def _pruned(weights: NDArray[np.float32], kept: int) -> NDArray[np.float32]:
    """Return the weights with all but the ``kept`` largest of each row set to 0."""
    kept = min(kept, weights.shape[1])
    least = np.partition(np.abs(weights), -kept, axis=1)[:, -kept, None]
    return np.where(np.abs(weights) >= least, weights, 0).astype(np.float32)
