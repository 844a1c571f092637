"""Means of values that lie between 0 and 1, and medians: intervals that hold for any distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harmless.stats.clusters import ClusteredRate
from harmless.stats.distributions import binomial_cdf, check_confidence
from harmless.stats.intervals import binomial


class Median(NamedTuple):
    """The median of ``n`` values with its limits, in their unit; None where there are too few for one."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def bounded_mean(values: ArrayLike, clusters: ArrayLike, confidence: float = 0.95) -> ClusteredRate:
    """Return the mean of values between 0 and 1, NaN for unassessed ones; shapes (n,) and (n,).

    No distribution on [0, 1] with mean m varies more than events of rate m do, so the interval is that of a
    rate, for n^2 / sum(size^2) independent rows (rows of a cluster taken as all alike: Kish 1965). It is wider
    than need be where values lie in the middle. The low limit counts unassessed rows as 0, the high one as 1.
    Raises ``ValueError`` on other values or different lengths.
    """
    check_confidence(confidence)
    x, labels = np.asarray(values, dtype=float), np.asarray(clusters)
    if x.ndim != 1 or x.shape != labels.shape:
        raise ValueError(f"each value needs one cluster label, not shapes {x.shape} and {labels.shape}")
    known = ~np.isnan(x)
    if not ((x[known] >= 0) & (x[known] <= 1)).all():
        raise ValueError("values lie between 0 and 1, or are NaN (unassessed)")
    if not known.any():
        return ClusteredRate(math.nan, 0.0, 1.0, 0, len(x), len(np.unique(labels)), 0.0)
    mean, effective = float(x[known].mean()), _independent(labels[known])
    found = binomial(mean * effective, effective, confidence)
    low, high = found.low, found.high
    if not known.all():
        everything = _independent(labels)
        least, most = (float(np.where(known, x, fill).mean()) for fill in (0.0, 1.0))
        low = min(low, binomial(least * everything, everything, confidence).low)
        high = max(high, binomial(most * everything, everything, confidence).high)
    return ClusteredRate(
        mean,
        min(low, mean),
        max(high, mean),
        int(known.sum()),
        int((~known).sum()),
        len(np.unique(labels)),
        effective,
    )


def median(values: Sequence[float], confidence: float = 0.95) -> Median:
    """Return the median of values in any unit, with the limits that order statistics give (Thompson 1936).

    Coverage is at least nominal whatever the distribution. Fewer than 6 values give no limits at 95 %.
    """
    check_confidence(confidence)
    x, tail = sorted(values), (1 - confidence) / 2
    n = len(x)
    if not n:
        return Median(None, None, None, 0)
    middle = (x[(n - 1) // 2] + x[n // 2]) / 2
    left_out = -1
    while binomial_cdf(left_out + 1, n, 0.5) <= tail:
        left_out += 1
    if left_out < 0:
        return Median(middle, None, None, n)
    return Median(middle, x[left_out], x[n - 1 - left_out], n)


def _independent(labels: NDArray[Any]) -> float:
    sizes = np.unique(labels, return_counts=True)[1].astype(float)
    return float(len(labels) ** 2 / (sizes**2).sum())
