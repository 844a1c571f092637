"""Train the prompt heads: harm, and the six domains of SALAD-Bench."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harmless.data.suites import Suite
from harmless.guards.features import hashed
from harmless.guards.linear import LinearModel, sigmoid
from harmless.guards.train import contamination, own
from harmless.guards.train.fit import How, auroc, even, fit, logistic
from harmless.guards.train.groups import close_to, folds, joined, near_duplicates
from harmless.guards.train.rows import Row, Rows

DOMAINS = ("O1", "O2", "O3", "O4", "O5", "O6")
MIXED = ("WildGuard train", "Aegis train", own.PAIRS)
"""Sets that hold both sides in like words; of the others the style alone gives the label away."""
WEIGHTS = {own.ORDINARY: 2.0, own.FRAMES: 2.0, own.PAIRS: 2.0, "WildGuard train": 1.0, "Aegis train": 1.0}
PLAIN_WEIGHT = 0.4
MAX_FALSE_POSITIVES = 0.02
FOLDS = 5
DOMAIN_BITS = 16


@dataclass(frozen=True)
class PromptRows:
    """Rows with a label of harm, their weights, and groups of near-duplicates and of the sides of pairs.

    ``left_out`` says how many of our own rows are in an evaluation suite.
    """

    rows: list[Row]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]
    groups: NDArray[np.int64]
    left_out: int = 0

    @property
    def texts(self) -> list[str]:
        """The prompts."""
        return [row.prompt for row in self.rows]

    @property
    def sources(self) -> NDArray[np.str_]:
        """Where each row comes from."""
        return np.array([row.source for row in self.rows])


def collect(rows: Rows, rng: np.random.Generator, evaluations: Sequence[Suite] = ()) -> PromptRows:
    """Return the training rows: public, ours, and without the goals of the labelled replies.

    Prompts of one kind only (sets of harmful requests) get a lower weight than sets that are mixed, otherwise
    the model learns the style of the set; harm and no harm get the same total weight. Of our own rows those
    that are in ``evaluations`` are left out; GateFailedError if any other row is in there.
    """
    queries = {row.prompt: replace(row, reply=None, unsafe=True) for row in rows.by_source["choices"]}
    names = ("guard_train", "harmful", "benign", "injections", "lessons")
    found = [row for name in names for row in rows.by_source.get(name, ())]
    ours = own.prompts(rng)
    written = contamination.apart(ours, evaluations) if evaluations else ours
    found = [row for row in [*found, *queries.values(), *written] if row.unsafe is not None]
    goals = sorted({row.goal for row in rows.by_source["replies"] if not row.attack.startswith("harmless_")})
    if goals:
        close = close_to([row.prompt for row in found], goals)
        found = [row for row, leave in zip(found, close, strict=True) if not leave]
    if evaluations:
        contamination.certify(found, evaluations)
    labels = np.array([int(bool(row.unsafe)) for row in found])
    weights = np.array([WEIGHTS.get(row.source, PLAIN_WEIGHT) for row in found])
    even(weights, labels)
    sides = [row.goal if row.source == own.PAIRS else "" for row in found]
    groups = joined(near_duplicates([row.prompt for row in found]), sides)
    return PromptRows(found, labels, weights, groups, len(ours) - len(written))


def fit_harm(data: PromptRows, index: NDArray[np.int64], seed: int) -> LinearModel:
    """Return the head of harm, trained on the rows ``index``."""
    texts = [data.rows[i].prompt for i in index]
    return fit(
        [hashed(texts)],
        data.labels[index],
        How(("harm",), strength=8.0, seed=seed),
        data.weights[index],
    )


def out_of_fold(data: PromptRows, seed: int) -> NDArray[np.float64]:
    """Return the score of every row from a model that has not seen its group."""
    fold = folds(data.groups, FOLDS, np.random.default_rng(seed))
    scores = np.zeros(len(data.rows))
    for held in range(FOLDS):
        model = fit_harm(data, np.flatnonzero(fold != held), seed)
        test = np.flatnonzero(fold == held)
        scores[test] = model.scores([hashed([data.rows[i].prompt for i in test])])[:, 0]
    return scores


def calibrate(data: PromptRows, scores: NDArray[np.float64]) -> tuple[list[float], float, dict[str, float]]:
    """Return (slope, intercept), the threshold on the probability, and the out-of-fold metrics.

    The threshold is the one with the best F1 on the mixed sets among those that flag at most
    ``MAX_FALSE_POSITIVES`` of the plain benign rows; both from out-of-fold scores of training data.
    """
    mixed = np.isin(data.sources, MIXED)
    plain = ~mixed & (data.labels == 0)
    slope, bias = logistic(scores[:, None], data.labels)
    chance = sigmoid(scores * slope[0] + bias)
    least = float(np.quantile(chance[plain], 1 - MAX_FALSE_POSITIVES))
    grid = [t for t in np.arange(0.2, 0.95, 0.01) if t >= least] or [least]
    best = max(grid, key=lambda t: f1(data.labels[mixed], chance[mixed] >= t))
    wild = data.sources == "WildGuard train"
    metrics = {
        "auroc_wildguard": auroc(data.labels[wild], scores[wild]),
        "auroc_all": auroc(data.labels, scores),
        "f1_mixed": f1(data.labels[mixed], chance[mixed] >= best),
        "false_positives_plain": float((chance[plain] >= best).mean()),
        "recall_plain": float((chance[~mixed & (data.labels == 1)] >= best).mean()),
    }
    return [float(slope[0]), bias], round(float(best), 3), metrics


def fit_domains(rows: Rows, seed: int) -> tuple[LinearModel, dict[str, float]]:
    """Return the heads of the six domains, and their accuracy on a held-out fifth."""
    public = [row for name in ("choices", "harmful") for row in rows.by_source[name]]
    ours = [row for row in own.pairs() if row.unsafe]
    named = {row.prompt: row.domain for row in [*public, *ours] if row.domain}
    texts, labels = list(named), np.array([DOMAINS.index(domain) for domain in named.values()])
    fold = folds(near_duplicates(texts), FOLDS, np.random.default_rng(seed))
    train, test = np.flatnonzero(fold), np.flatnonzero(fold == 0)

    def on(index: NDArray[np.int64]) -> LinearModel:
        chosen = [texts[i] for i in index]
        return fit(
            [hashed(chosen, DOMAIN_BITS)],
            labels[index],
            How(DOMAINS, strength=8.0, damping=20.0, bits=DOMAIN_BITS, seed=seed),
        )

    guess = on(train).scores([hashed([texts[i] for i in test], DOMAIN_BITS)]).argmax(axis=1)
    common = float(np.bincount(labels[test]).max() / len(test))
    quality = {"domain_accuracy": float((guess == labels[test]).mean()), "domain_majority": common}
    return on(np.arange(len(texts))), quality


def f1(labels: NDArray[np.int64], flagged: NDArray[np.bool_]) -> float:
    """Return the harmonic mean of precision and recall."""
    hit = float((flagged & (labels == 1)).sum())
    return 2 * hit / max(float(flagged.sum() + (labels == 1).sum()), 1.0)
