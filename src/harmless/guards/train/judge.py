"""Calibrate the judge, and measure its error rates out of fold.

Outer loop: cells of goal folds by model folds; a cell is judged by models trained on rows that share neither
goal nor model with it (:func:`two_way`). Inner loop, within the training rows of a cell: the heads are fitted
on one part of the goals and score the rest, so that the combination is learnt from scores of unseen goals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmless.guards.features import Features
from harmless.guards.linear import LinearModel, sigmoid
from harmless.guards.signals import CONTEXT, NAMES, Heads, Scores
from harmless.guards.train.fit import auroc, logistic
from harmless.guards.train.groups import folds, two_way
from harmless.guards.train.replies import (
    COMPLIANCE,
    REFUSAL,
    fit_ask,
    fit_harm,
    fit_refusal,
    refusal_rows,
    refusal_truth,
)
from harmless.guards.train.rows import Row
from harmless.guards.views import ask_views, harm_views

GOAL_FOLDS, INNER_FOLDS = 6, 2
THRESHOLD = 0.5
STRENGTH = 0.1
MODEL_FOLDS = (
    ("gpt-3.5-turbo-1106", "gpt-4-0125-preview"),
    ("llama-2-7b-chat-hf", "meta-llama-3-8b-instruct"),
    ("vicuna-13b-v1.5", "yi-6b-chat"),
    ("gemma-2b-it", "qwen-1_8b-chat"),
)


@dataclass(frozen=True)
class Replies:
    """Labelled replies, and what else trains the heads that judge them.

    ``further`` rows only train the head of harm of replies, ``benign`` prompts only the ask head; our own
    replies are written to ``prompts``. The prompt head is fixed: it has seen none of the goals.
    """

    rows: list[Row]
    further: list[Row]
    benign: list[str]
    prompts: list[str]
    prompt_model: LinearModel

    @property
    def labels(self) -> NDArray[np.int64]:
        """1 where the reply is unsafe."""
        return np.array([int(bool(row.unsafe)) for row in self.rows])

    @property
    def votes(self) -> NDArray[np.bool_]:
        """Whether people rated the row (DICES)."""
        return np.array([row.votes is not None for row in self.rows])

    @cached_property
    def harm(self) -> Features:
        """Features of the replies of ``rows`` and then ``further``, hashed once for all folds."""
        return harm_views([row.reply or "" for row in [*self.rows, *self.further]])[0]

    @cached_property
    def asks(self) -> Features:
        """Features of the prompts of ``rows`` and then ``benign``."""
        return ask_views([row.prompt for row in self.rows] + self.benign)[0]


@dataclass(frozen=True)
class Judged:
    """Out-of-fold results for every labelled reply: probability of harm, refusal classes, context score."""

    risk: NDArray[np.float64]
    classes: NDArray[np.float64]
    context: NDArray[np.float64]


@dataclass(frozen=True)
class Combination:
    """Coefficients over :data:`NAMES` (judge) and over :data:`CONTEXT` (embedded guard), with intercepts."""

    judge: tuple[NDArray[np.float64], float]
    context: tuple[NDArray[np.float64], float]

    def risk(self, scores: Scores) -> NDArray[np.float64]:
        """Return the probability that the reply is unsafe."""
        return sigmoid(scores.signals @ self.judge[0] + self.judge[1])

    def in_context(self, scores: Scores) -> NDArray[np.float64]:
        """Return the same from prompt and reply alone."""
        return sigmoid(scores.context @ self.context[0] + self.context[1])


def fit_heads(data: Replies, index: NDArray[np.int64], seed: int) -> Heads:
    """Return the heads trained on the labelled replies ``index``."""
    rows = [data.rows[i] for i in index]
    classed = refusal_rows(rows, data.prompts, np.random.default_rng(seed))
    size = len(data.rows)
    judged = np.concatenate([index, np.arange(size, size + len(data.further))])
    attacked = index[[bool(row.attack) and not row.attack.startswith("harmless_") for row in rows]]
    asked = np.concatenate([attacked, np.arange(size, size + len(data.benign))])
    goals = [data.rows[i].goal for i in attacked] + [""] * len(data.benign)
    return Heads(
        data.prompt_model,
        fit_ask([data.asks.take(asked)], goals, seed),
        fit_harm([data.harm.take(judged)], rows + data.further, seed),
        fit_refusal(classed, seed),
    )


def fit_combination(data: Replies, index: NDArray[np.int64], seed: int) -> Combination:
    """Return the combination, learnt from scores of goals that the heads have not seen."""
    goals = np.unique([data.rows[i].goal for i in index], return_inverse=True)[1]
    fold = folds(goals, INNER_FOLDS, np.random.default_rng(seed))
    signals, context = np.zeros((len(index), len(NAMES))), np.zeros((len(index), len(CONTEXT)))
    for held in range(INNER_FOLDS):
        scores = fit_heads(data, index[fold != held], seed).scores(*_texts(data.rows, index[fold == held]))
        signals[fold == held], context[fold == held] = scores.signals, scores.context
    chat = ~data.votes[index]
    labels = data.labels[index][chat]
    return Combination(logistic(signals[chat], labels, strength=STRENGTH), logistic(context[chat], labels))


def cross_validate(data: Replies, seed: int) -> Judged:
    """Return what models say of every row that have seen neither its goal nor its model."""
    goals = np.unique([row.goal for row in data.rows], return_inverse=True)[1]
    goal_folds = folds(goals, GOAL_FOLDS, np.random.default_rng(seed))
    size = len(data.rows)
    found = Judged(np.zeros(size), np.zeros((size, 4)), np.zeros(size))
    for train, test in two_way(goal_folds, np.array([_model_fold(row.model) for row in data.rows])):
        combination = fit_combination(data, train, seed)
        heads = fit_heads(data, train, seed)
        scores = heads.scores(*_texts(data.rows, test))
        found.risk[test] = combination.risk(scores)
        found.context[test] = combination.in_context(scores)
        found.classes[test] = scores.classes
    return found


def threshold(data: Replies, chances: NDArray[np.float64], most: float) -> float:
    """Return the chance that at most the share ``most`` of ordinary replies to harmless prompts reaches.

    Where replies are withheld, the even odds of rows of which a third is harmful would withhold too many.
    """
    ordinary = np.array([row.attack == "harmless_baseline" for row in data.rows])
    return round(float(np.quantile(chances[ordinary], 1 - most)), 3) if ordinary.any() else THRESHOLD


def error_rates(labels: NDArray[np.int64], flagged: NDArray[np.bool_]) -> dict[str, Any]:
    """Return sensitivity and specificity with their denominators, agreement, and the four counts."""
    unsafe, safe = labels == 1, labels == 0
    hit, clear = int((flagged & unsafe).sum()), int((~flagged & safe).sum())
    n_unsafe, n_safe = int(unsafe.sum()), int(safe.sum())
    return {
        "sensitivity": hit / n_unsafe if n_unsafe else None,
        "n_unsafe": n_unsafe,
        "specificity": clear / n_safe if n_safe else None,
        "n_safe": n_safe,
        "agreement": (hit + clear) / max(len(labels), 1),
        "confusion": {
            "true_unsafe": hit,
            "missed": n_unsafe - hit,
            "false_alarm": n_safe - clear,
            "true_safe": clear,
        },
    }


def by_source(data: Replies, flagged: NDArray[np.bool_]) -> dict[str, Any]:
    """Return :func:`error_rates` overall (replies judged by a model or by construction) and by source."""
    labels, names = data.labels, np.array([f"{row.source}: {row.attack or 'dialogues'}" for row in data.rows])
    chat = ~data.votes
    return {
        "all": error_rates(labels, flagged),
        "chat": error_rates(labels[chat], flagged[chat]),
        **{name: error_rates(labels[names == name], flagged[names == name]) for name in sorted(set(names))},
    }


def refusal_agreement(rows: Sequence[Row], classes: NDArray[np.float64]) -> dict[str, Any]:
    """Return how often the guard says refused (refusal or partial) where the data leaves no doubt."""
    truth = [refusal_truth(row) for row in rows]
    index = np.array([i for i, t in enumerate(truth) if t is not None])
    wanted = np.array([int(truth[i] == REFUSAL) for i in index])
    said = classes[index, 0] + classes[index, 1] >= 0.5
    rates = error_rates(wanted, said)
    rates["auroc"] = auroc(wanted, 1 - classes[index, COMPLIANCE])
    return rates


def _model_fold(model: str) -> int:
    return next((i for i, models in enumerate(MODEL_FOLDS) if model in models), len(MODEL_FOLDS))


def _texts(rows: Sequence[Row], index: NDArray[np.int64]) -> tuple[list[str], list[str]]:
    return [rows[i].prompt for i in index], [rows[i].reply or "" for i in index]
