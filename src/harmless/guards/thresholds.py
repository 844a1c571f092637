"""Thresholds at a stated false-positive rate, from the scores that guards give to benign calibration data.

A threshold that lets k of n independent benign rows be flagged has a true false-positive rate whose upper
confidence limit is at most that of Clopper and Pearson for k events in n, although the threshold was chosen on
the same rows: with the k-th highest score as threshold, the rate follows Beta(k, n - k + 1) or lies below it
(tolerance limits, Wilks 1941). The guarantee is for data like the calibration data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harmless.core import GuardRule
from harmless.core.model import Model
from harmless.errors import UsageError
from harmless.stats import threshold_at_fpr, upper_bound


class Threshold(Model):
    """A chosen threshold and what it was seen to do.

    ``flagged`` of ``benign`` rows score at least that; ``upper`` is the one-sided exact upper limit of the true
    false-positive rate at ``confidence``.
    """

    value: float
    flagged: int
    benign: int
    upper: float
    confidence: float

    @property
    def rate(self) -> float:
        """The observed false-positive rate."""
        return self.flagged / self.benign

    @property
    def rule(self) -> GuardRule:
        """The threshold as a policy holds it."""
        return GuardRule(threshold=self.value)

    def __str__(self) -> str:
        return (
            f"{self.value:.4g}: {self.flagged} of {self.benign} benign rows flagged ({self.rate:.2%}), "
            f"at most {self.upper:.2%} with {self.confidence:.0%} confidence"
        )


def choose_threshold(
    scores: ArrayLike, fpr: float, *, confidence: float = 0.95, guaranteed: bool = False
) -> Threshold:
    """Return the lowest observed score that flags at most ``fpr`` of benign rows, or just above the highest.

    Args:
        scores: of benign rows that the guard assessed, between 0 and 1, shape (n,).
        fpr: the false-positive rate to keep.
        confidence: of the upper limit.
        guaranteed: let the upper limit keep ``fpr``, not only the rate observed; needs more rows
            (299 for 1 % and 59 for 5 % without a single one flagged).

    Raises:
        UsageError: there are no rows, too few for the guarantee, or so many of them score 1 that no threshold
            keeps the rate.
    """
    s = np.asarray(scores, dtype=float)
    if s.ndim != 1 or not len(s) or not ((s >= 0) & (s <= 1)).all():
        raise UsageError("A threshold needs scores of benign rows, between 0 and 1.", "Give calibration data.")
    rate = _guaranteed_rate(len(s), fpr, confidence) if guaranteed else fpr
    value = threshold_at_fpr(s, np.zeros(len(s), dtype=int), rate)
    if math.isinf(value):
        value = math.nextafter(float(s.max()), math.inf)
    if value > 1:
        raise UsageError(
            f"{int((s == 1).sum())} of {len(s)} benign rows score 1: no threshold keeps to {fpr:.2%}.",
            "Calibrate the guard, or allow more false positives.",
        )
    return _seen(s, value, confidence)


def choose_thresholds(
    scores: Mapping[str, ArrayLike], fpr: float, *, confidence: float = 0.95, guaranteed: bool = False
) -> dict[str, Threshold]:
    """Return a threshold for each guard, by name; see :func:`choose_threshold`.

    The limits hold for each guard by itself. ``{name: t.rule for name, t in ....items()}`` is what a policy
    takes as ``guards``.
    """
    return {
        name: choose_threshold(each, fpr, confidence=confidence, guaranteed=guaranteed)
        for name, each in scores.items()
    }


def _seen(scores: NDArray[np.float64], value: float, confidence: float) -> Threshold:
    flagged, n = int((scores >= value).sum()), len(scores)
    upper = upper_bound(flagged, n, confidence)
    return Threshold(value=value, flagged=flagged, benign=n, upper=upper, confidence=confidence)


def _guaranteed_rate(n: int, fpr: float, confidence: float) -> float:
    """Return the highest observed rate whose upper limit keeps ``fpr``."""
    if not 0 <= fpr <= 1:
        raise ValueError(f"a false positive rate lies between 0 and 1, not {fpr}")
    if upper_bound(0, n, confidence) > fpr:
        raise UsageError(
            f"{n} benign rows are too few to guarantee {fpr:.2%} with {confidence:.0%} confidence.",
            f"Give {math.ceil(math.log(1 - confidence) / math.log1p(-fpr)) if fpr else 'infinitely many'}.",
        )
    low, high = 0, n  # upper_bound rises with the number flagged
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if upper_bound(middle, n, confidence) <= fpr else (low, middle - 1)
    return low / n
