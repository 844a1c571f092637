"""Paired comparison of two runs over the same prompts, and correction for many comparisons."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harmless.stats.distributions import binomial_cdf, binomial_pmf, two_sided_z


@dataclass(frozen=True, slots=True)
class McNemar:
    """The result of a paired comparison of ``n`` pairs.

    ``only_first`` and ``only_second`` count the pairs with the event in one run alone. ``p`` is the exact
    two-sided p-value, ``mid_p`` the same less
    the chance of the observed split, less conservative. ``effect`` is the first rate less the second
    (positive: the second run has fewer events) with its standard error and limits, all in [-1, 1].
    """

    n: int
    only_first: int
    only_second: int
    p: float
    mid_p: float
    effect: float
    se: float
    low: float
    high: float


def mcnemar(only_first: int, only_second: int, n: int, confidence: float = 0.95) -> McNemar:
    """Compare two paired rates by their discordant counts out of ``n`` independent pairs.

    Exact test: the smaller count is Binomial(only_first + only_second, 1/2) if nothing differs (McNemar
    1947; mid-p: Fagerland, Lydersen and Laake 2013). The limits add one pair to each discordant cell
    (Bonett and Price 2012), so they have width even where nothing is discordant. No pair at all gives an
    effect of NaN within -1 and 1. For pairs that share an origin use
    :func:`harmless.stats.clusters.clustered_mean` on the differences. Raises ``ValueError`` on negative
    counts or more discordant pairs than pairs.
    """
    z = two_sided_z(confidence)
    b, c = only_first, only_second
    if min(b, c) < 0 or b + c > n:
        raise ValueError(f"discordant counts {b} and {c} do not fit into {n} pairs")
    p, mid_p = _p_values(min(b, c), b + c)
    if n == 0:
        return McNemar(0, 0, 0, p, mid_p, math.nan, math.nan, -1.0, 1.0)
    effect = (b - c) / n
    se = math.sqrt(b + c - (b - c) ** 2 / n) / n
    centre, share = (b - c) / (n + 2), (b + c + 2) / (n + 2)
    half = z * math.sqrt((share - centre**2) / (n + 2))
    low, high = max(centre - half, -1.0), min(centre + half, 1.0)
    return McNemar(n, b, c, p, mid_p, effect, se, min(low, effect), max(high, effect))


def paired(first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> McNemar:
    """Compare two runs, given the event (0/1 or bool) of every prompt in each; shapes (n,) and (n,).

    Drop the pairs with an unassessed side before, and report how many they were. Raises ``ValueError`` if
    the lengths differ or a value is neither 0 nor 1; see :func:`mcnemar`.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"paired runs have one value for each prompt, not shapes {a.shape} and {b.shape}")
    if not (np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()):
        raise ValueError("events are 0 or 1")
    return mcnemar(int((a > b).sum()), int((b > a).sum()), len(a), confidence)


def _p_values(smaller: int, discordant: int) -> tuple[float, float]:
    if discordant == 0:
        return 1.0, 1.0
    p = min(1.0, 2 * binomial_cdf(smaller, discordant, 0.5))
    return p, p - binomial_pmf(smaller, discordant, 0.5)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return Holm's adjusted p-values (Holm 1979), shape (m,), in the order given.

    Controls the chance of any false finding: for gates. Raises ``ValueError`` on values outside [0, 1].
    """
    p, order = _ordered(p_values)
    factors = np.arange(len(p), 0, -1)
    return _restore(np.maximum.accumulate(p[order] * factors), order)


def benjamini_hochberg(p_values: ArrayLike, *, dependent: bool = False) -> NDArray[np.float64]:
    """Return adjusted p-values that control the false discovery rate, shape (m,): for exploration.

    Benjamini and Hochberg 1995; with ``dependent`` the version of Benjamini and Yekutieli 2001, valid
    under any dependence. Raises ``ValueError`` on values outside [0, 1].
    """
    p, order = _ordered(p_values)
    ranks = np.arange(1, len(p) + 1)
    scale = len(p) * (np.sum(1 / ranks) if dependent else 1.0)
    stepped = np.minimum.accumulate((p[order] * scale / ranks)[::-1])[::-1]
    return _restore(stepped, order)


def _ordered(p_values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p-values are one row of numbers between 0 and 1")
    return p, np.argsort(p, kind="stable")


def _restore(adjusted: NDArray[np.float64], order: NDArray[np.intp]) -> NDArray[np.float64]:
    result = np.empty_like(adjusted)
    result[order] = np.minimum(adjusted, 1.0)
    return result
