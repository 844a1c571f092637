"""Rows that share an origin (a seed prompt, a template, a pair) carry less information than their number.

The cluster is the behaviour or seed prompt that rows were made from, not the single sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harmless.stats.distributions import check_confidence, t_quantile, two_sided_z
from harmless.stats.intervals import UNKNOWN, Interval, binomial


@dataclass(frozen=True, slots=True)
class ClusteredMean:
    """A mean over clustered rows, in the unit of the rows.

    ``naive_se`` assumes independent rows; ``cr0`` and ``cr1`` are the cluster-robust standard errors
    without and with the small-sample factor; ``design_effect`` is (cr1 / naive_se) squared, NaN if all rows
    are equal. The limits are t limits with ``clusters - 1`` degrees of freedom.
    """

    mean: float
    low: float
    high: float
    naive_se: float
    cr0: float
    cr1: float
    clusters: int
    design_effect: float


@dataclass(frozen=True, slots=True)
class ClusteredRate(Interval):
    """An :class:`Interval` of a rate over clustered rows.

    ``n`` counts the assessed rows, ``effective_n`` the independent rows that they are worth.
    """

    n: int
    unassessed: int
    clusters: int
    effective_n: float


def design_effect(cluster_size: float, icc: float) -> float:
    """Return by what factor clustering inflates a variance: 1 + (mean cluster size - 1) * icc (Kish 1965).

    Multiply a sample size by it, or divide the number of rows by it.
    """
    return 1 + (cluster_size - 1) * icc


def clustered_mean(values: ArrayLike, clusters: ArrayLike, confidence: float = 0.95) -> ClusteredMean:
    """Return the mean of ``values`` (shape (n,), any unit) with cluster-robust standard errors.

    Liang and Zeger 1986 (CR0), with the factor G / (G - 1) (CR1). For paired runs give the differences of
    each pair. For rates near 0 or 1 use :func:`clustered_rate`. One cluster alone gives infinite limits.
    Raises ``ValueError`` on no rows, NaN, or different lengths.
    """
    check_confidence(confidence)
    x, index = _rows(values, clusters)
    if len(x) == 0 or np.isnan(x).any():
        raise ValueError("a mean needs at least one row and no NaN")
    n, groups, mean = len(x), int(index.max()) + 1, float(x.mean())
    naive = float(x.std()) / math.sqrt(n)
    cr0 = math.sqrt(_cluster_sum_of_squares(x - mean, index)) / n
    if groups == 1:
        return ClusteredMean(mean, -math.inf, math.inf, naive, cr0, math.inf, 1, math.nan)
    cr1 = cr0 * math.sqrt(groups / (groups - 1))
    half = t_quantile(0.5 + confidence / 2, groups - 1) * cr1
    effect = (cr1 / naive) ** 2 if naive else math.nan
    return ClusteredMean(mean, mean - half, mean + half, naive, cr0, cr1, groups, effect)


def clustered_rate(values: ArrayLike, clusters: ArrayLike, confidence: float = 0.95) -> ClusteredRate:
    """Return the rate of events in clustered rows, within [0, 1] and never of zero width.

    ``values`` holds 1 for an event, 0 for none and NaN for an unassessed row, shape (n,); ``clusters`` any
    labels, shape (n,). The interval is :func:`harmless.stats.intervals.binomial` on effective counts (Korn
    and Graubard 1998). The low limit counts unassessed rows as no event, the high limit as events. Rows in
    clusters of their own give the plain interval; clusters that are all or nothing give that of the
    clusters. Raises ``ValueError`` on other values or different lengths.
    """
    check_confidence(confidence)
    x, index = _rows(values, clusters)
    missing = np.isnan(x)
    if not np.isin(x[~missing], (0, 1)).all():
        raise ValueError("values are 1 (event), 0 (none) or NaN (unassessed)")
    groups = int(index.max()) + 1 if len(x) else 0
    seen, effective = _effective(x[~missing], index[~missing], confidence)
    low, high = seen.low, seen.high
    if missing.any():
        low = min(low, _effective(np.where(missing, 0.0, x), index, confidence)[0].low)
        high = max(high, _effective(np.where(missing, 1.0, x), index, confidence)[0].high)
    n = int((~missing).sum())
    return ClusteredRate(seen.rate, low, high, n, int(missing.sum()), groups, effective)


def _effective(x: NDArray[np.float64], index: NDArray[np.intp], confidence: float) -> tuple[Interval, float]:
    """Return the interval of complete rows and the effective number of rows behind it."""
    n = len(x)
    if n == 0:
        return UNKNOWN, 0.0
    rate = float(x.mean())
    sizes = np.bincount(index).astype(float)
    sizes = sizes[sizes > 0]
    fewest = n * n / float((sizes**2).sum())
    events = np.bincount(index, weights=x) > 0
    others = np.bincount(index, weights=1 - x) > 0
    carrying = min(int(events.sum()), int(others.sum()))
    effective = fewest
    if carrying and len(sizes) > 1:
        groups = len(sizes)
        variance = _cluster_sum_of_squares(x - rate, index) * groups / (groups - 1)
        observed = variance / (n * rate * (1 - rate))
        # A design effect seen on few events is mostly noise, and with none it cannot be seen at all, so
        # the worst case (rows of a cluster all alike) counts as much as one cluster with an event.
        effect = (carrying * observed + n / fewest) / (carrying + 1)
        few_clusters = two_sided_z(confidence) / t_quantile(0.5 + confidence / 2, groups - 1)
        effective = min(max(n / effect * few_clusters**2, fewest), n)
    found = binomial(rate * effective, effective, confidence)
    return Interval(rate, min(found.low, rate), max(found.high, rate)), effective


def cluster_bootstrap(
    statistic: Callable[[NDArray[np.intp]], float],
    clusters: ArrayLike,
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return any statistic of clustered rows with its percentile bootstrap interval (Efron 1979).

    ``statistic`` takes row numbers, shape (rows,), possibly repeated, and returns a number: for instance
    ``lambda rows: auroc(scores[rows], labels[rows])``. Whole clusters are drawn, with replacement; for
    independent rows give each a label of its own. Draws where the statistic is NaN (a class is absent) are
    left out; if all are, so is the interval (NaN). The result has the statistic's own range. With fewer
    than about 40 clusters the interval is too narrow. Raises ``ValueError`` on no rows.
    """
    check_confidence(confidence)
    labels = np.asarray(clusters)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError("a bootstrap needs one cluster label for each row, and at least one row")
    index = np.unique(labels, return_inverse=True)[1]
    order = np.argsort(index, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(index))[:-1])
    rng = np.random.default_rng(seed)
    found = np.empty(resamples)
    for draw in range(resamples):
        picked = rng.integers(len(members), size=len(members))
        found[draw] = statistic(np.concatenate([members[group] for group in picked]))
    whole = float(statistic(np.arange(len(labels))))
    found = found[~np.isnan(found)]
    if not len(found):
        return Interval(whole, math.nan, math.nan)
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(whole, float(low), float(high))


def _rows(values: ArrayLike, clusters: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    x, labels = np.asarray(values, dtype=float), np.asarray(clusters)
    if x.ndim != 1 or x.shape != labels.shape:
        raise ValueError(f"each value needs one cluster label, not shapes {x.shape} and {labels.shape}")
    return x, np.unique(labels, return_inverse=True)[1]


def _cluster_sum_of_squares(deviations: NDArray[np.float64], index: NDArray[np.intp]) -> float:
    return float((np.bincount(index, weights=deviations) ** 2).sum())
