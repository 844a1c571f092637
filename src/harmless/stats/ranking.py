"""How well scores rank rows with the event above rows without it, and thresholds on them.

Scores are any finite numbers, higher is riskier; a row is flagged if its score is at least the threshold.
Labels are 0 or 1; shapes (n,) and (n,). Equal scores are flagged together. A measure is NaN where a class that
it needs is absent. All raise ``ValueError`` on NaN scores, other labels or different lengths.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the chance that a row with the event scores above one without; ties count half.

    The area under the ROC curve, by the Mann-Whitney statistic (Hanley and McNeil 1982).
    """
    s, y = _check(scores, labels)
    positives, negatives = int(y.sum()), int((~y).sum())
    if not positives or not negatives:
        return math.nan
    _, index, count = np.unique(s, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(count) - (count - 1) / 2
    wins = float(mid_ranks[index][y].sum()) - positives * (positives + 1) / 2
    return wins / (positives * negatives)


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the area under the precision-recall steps: sum of precision times gain in recall, as sklearn."""
    _, hits, false_alarms = _curve(scores, labels)
    if not len(hits) or not hits[-1]:
        return math.nan
    precision = hits / (hits + false_alarms)
    return float(precision @ np.diff(hits, prepend=0)) / float(hits[-1])


def threshold_at_fpr(scores: ArrayLike, labels: ArrayLike, rate: float) -> float:
    """Return the lowest observed score that, as a threshold, flags at most ``rate`` of the rows without event.

    Infinite if even the highest score flags more; NaN without rows of label 0.
    """
    thresholds, _, false_alarms = _curve(scores, labels)
    if not len(thresholds) or not false_alarms[-1]:
        return math.nan
    allowed = int((false_alarms <= _allowed(rate, false_alarms[-1])).sum())
    return float(thresholds[allowed - 1]) if allowed else math.inf


def recall_at_fpr(scores: ArrayLike, labels: ArrayLike, rate: float) -> float:
    """Return the share of rows with the event that :func:`threshold_at_fpr` flags; NaN if a class is absent."""
    _, hits, false_alarms = _curve(scores, labels)
    if not len(hits) or not hits[-1] or not false_alarms[-1]:
        return math.nan
    allowed = int((false_alarms <= _allowed(rate, false_alarms[-1])).sum())
    return float(hits[allowed - 1] / hits[-1]) if allowed else 0.0


def _allowed(rate: float, negatives: int) -> float:
    if not 0 <= rate <= 1:
        raise ValueError(f"a false positive rate lies between 0 and 1, not {rate}")
    return rate * negatives + 1e-9


def _curve(
    scores: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct scores, falling, and how many rows of label 1 and 0 score at least that."""
    s, y = _check(scores, labels)
    order = np.argsort(-s, kind="stable")
    s, y = s[order], y[order]
    last = np.flatnonzero(np.append(np.diff(s) != 0, True)) if len(s) else np.empty(0, dtype=np.intp)
    return s[last], np.cumsum(y, dtype=np.int64)[last], np.cumsum(~y, dtype=np.int64)[last]


def _check(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    s, y = np.asarray(scores, dtype=float), np.asarray(labels)
    if s.ndim != 1 or s.shape != y.shape:
        raise ValueError(f"each score needs one label, not shapes {s.shape} and {y.shape}")
    if not np.isfinite(s).all() or not np.isin(y, (0, 1)).all():
        raise ValueError("scores are finite numbers, labels are 0 or 1")
    return s, y.astype(bool)
