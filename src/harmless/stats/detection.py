"""All measures of a detector at once, for many weightings of the same rows: what a bootstrap needs.

A weighting gives each row how often it counts; a bootstrap draw is one (:func:`cluster_weights`). Rows are
sorted once for all weightings, so a thousand draws cost little more than a few.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

Measures = dict[str, NDArray[np.float64]]
"""Name of a measure -> its value under each weighting, NaN where a class or a flag that it needs is absent."""

RATES = ("accuracy", "precision", "recall", "fpr")
"""Shares of rows, of flagged rows, of rows with the event, of rows without it."""
NAMES = (*RATES, "f1", "auroc", "auprc", "recall_at_1_fpr", "recall_at_5_fpr", "ece", "brier")
"""All measures, in the order in which they are shown."""

BINS = 10
"""Bins of equal width of the expected calibration error."""
_CELLS = 1 << 21


def detection(
    scores: ArrayLike, flags: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> Measures:
    """Return accuracy, precision, recall, false-positive rate, F1, AUROC, AUPRC and so on; see :data:`NAMES`.

    AUROC and AUPRC are those of :mod:`harmless.stats.ranking`, ``ece`` and ``brier`` those of
    :mod:`harmless.stats.calibration` with the scores as probabilities.

    Args:
        scores: numbers from 0 to 1, higher is riskier; shape (rows,).
        flags: the decisions, 0 or 1; shape (rows,).
        labels: 1 where the event is there, else 0; shape (rows,).
        weights: how often each row counts, shape (draws, rows); once each if None.

    Raises:
        ValueError: different lengths, or values out of range.
    """
    s, f, y = (np.asarray(each, dtype=float) for each in (scores, flags, labels))
    if not s.ndim == f.ndim == y.ndim == 1 or not s.shape == f.shape == y.shape:
        raise ValueError(f"each row has a score, a flag and a label, not {s.shape}, {f.shape} and {y.shape}")
    if not ((s >= 0) & (s <= 1)).all() or not np.isin(f, (0, 1)).all() or not np.isin(y, (0, 1)).all():
        raise ValueError("scores lie between 0 and 1, flags and labels are 0 or 1")
    w = np.ones((1, len(s))) if weights is None else np.asarray(weights, dtype=float)
    if w.ndim != 2 or w.shape[1] != len(s):
        raise ValueError(f"weights have the shape (draws, {len(s)}), not {w.shape}")
    order = np.argsort(-s, kind="stable")
    s, f, y, w = s[order], f[order], y[order], w[:, order]
    step = max(_CELLS // max(len(s), 1), 1)
    parts = [_measures(s, f, y, part) for part in _parts(w, step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in NAMES}


def cluster_weights(clusters: ArrayLike, draws: int, seed: int = 0) -> NDArray[np.float64]:
    """Return ``draws`` bootstrap weightings: whole clusters drawn with replacement; shape (draws, rows).

    Raises ``ValueError`` on no rows.
    """
    labels = np.asarray(clusters)
    if labels.ndim != 1 or not len(labels):
        raise ValueError("a bootstrap needs one cluster label for each row, and at least one row")
    index = np.unique(labels, return_inverse=True)[1]
    groups = int(index.max()) + 1
    counts = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=draws)
    return np.asarray(counts[:, index], dtype=float)


def _parts(weights: NDArray[np.float64], step: int) -> Iterator[NDArray[np.float64]]:
    return (weights[start : start + step] for start in range(0, max(len(weights), 1), step))


def _measures(
    s: NDArray[np.float64], f: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64]
) -> Measures:
    total, flagged, positive = w.sum(axis=1), w @ f, w @ y
    true_positive = w @ (f * y)
    negative, false_positive = total - positive, flagged - true_positive
    found = {
        "accuracy": _share(true_positive + negative - false_positive, total),
        "precision": _share(true_positive, flagged),
        "recall": _share(true_positive, positive),
        "fpr": _share(false_positive, negative),
        "f1": _share(2 * true_positive, np.where(positive > 0, flagged + positive, 0)),
        "brier": _share(w @ (s - y) ** 2, total),
        "ece": _calibration_error(s, y, w, total),
    }
    return found | _ranking(s, y, w, positive, negative)


def _ranking(
    s: NDArray[np.float64],
    y: NDArray[np.float64],
    w: NDArray[np.float64],
    positive: NDArray[np.float64],
    negative: NDArray[np.float64],
) -> Measures:
    """Return the measures of the order alone; scores fall, and equal ones are taken together."""
    ends = np.flatnonzero(np.append(np.diff(s) != 0, True)) if len(s) else np.empty(0, dtype=np.intp)
    hits, alarms = np.cumsum(w * y, axis=1)[:, ends], np.cumsum(w * (1 - y), axis=1)[:, ends]
    gained, missed = (np.diff(each, axis=1, prepend=0) for each in (hits, alarms))
    precision = np.divide(hits, hits + alarms, out=np.zeros_like(hits), where=hits + alarms > 0)
    wins = (missed * (hits - gained / 2)).sum(axis=1)
    known = np.where(negative > 0, 1.0, np.nan)
    return {
        "auroc": _share(wins, positive * negative),
        "auprc": _share((gained * precision).sum(axis=1), positive),
        **{
            f"recall_at_{percent}_fpr": known
            * _share(
                np.where(alarms <= percent / 100 * negative[:, None] + 1e-9, hits, 0).max(axis=1, initial=0),
                positive,
            )
            for percent in (1, 5)
        },
    }


def _calibration_error(
    s: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64], total: NDArray[np.float64]
) -> NDArray[np.float64]:
    index = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], s, side="right")
    member = (index[:, None] == np.arange(BINS)).astype(float)
    gaps = np.abs(w @ (member * (s - y)[:, None])).sum(axis=1)
    return _share(gaps, total)


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found
