"""Agreement of judges or people who labelled the same rows. Values: 1 is perfect, 0 is what chance gives.

Where almost all rows are of one class kappa is low however well judges agree: read it beside the
prevalence, :func:`class_agreement` and :func:`gwet_ac1`. A measure is NaN where chance alone would give
perfect agreement (one class in all), or where no row has two ratings. For intervals use
:func:`harmless.stats.clusters.cluster_bootstrap` over rows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def tally(ratings: ArrayLike) -> NDArray[np.int64]:
    """Return how many raters put each row into each class: shape (rows, classes), classes in sorted order.

    ``ratings`` has shape (rows, raters) and holds numbers; NaN is a missing rating. Raises ``ValueError`` on
    another shape.
    """
    array = np.asarray(ratings, dtype=float)
    if array.ndim != 2:
        raise ValueError(f"ratings have the shape (rows, raters), not {array.shape}")
    classes = np.unique(array[~np.isnan(array)])
    return np.asarray((array[:, :, None] == classes).sum(axis=1), dtype=np.int64)


def cohen_kappa(table: ArrayLike) -> float:
    """Return Cohen's kappa (1960) of two raters; ``table[i, j]`` counts rows called i by one, j by the other.

    Raises ``ValueError`` unless the table is square and not negative.
    """
    counts = _counts(table)
    if counts.shape[0] != counts.shape[1]:
        raise ValueError(f"a table of two raters is square, not {counts.shape}")
    n = counts.sum()
    if n == 0:
        return math.nan
    expected = float(counts.sum(axis=0) @ counts.sum(axis=1)) / n**2
    return _beyond_chance(float(np.trace(counts)) / n, expected)


def fleiss_kappa(counts: ArrayLike) -> float:
    """Return Fleiss's kappa (1971); ``counts`` as from :func:`tally`, the same number of ratings in each row.

    Raises ``ValueError`` if the rows have different numbers of ratings, or fewer than 2.
    """
    table = _counts(counts)
    ratings = table.sum(axis=1)
    if len(table) == 0 or ratings.min() != ratings.max() or ratings[0] < 2:
        raise ValueError("Fleiss's kappa needs the same number of ratings, at least 2, in every row")
    shares = table.sum(axis=0) / table.sum()
    return _beyond_chance(float(_pair_agreement(table).mean()), float(shares @ shares))


def krippendorff_alpha(counts: ArrayLike) -> float:
    """Return Krippendorff's alpha for nominal classes; ``counts`` as from :func:`tally`, ratings may miss.

    Rows with fewer than two ratings carry no information and are left out. A guide: from 0.80 firm, from
    0.667 tentative. Source: Krippendorff, Content Analysis, 2004, chapter 11.
    """
    table = _pairable(_counts(counts))
    n = table.sum()
    if n == 0:
        return math.nan
    ratings = table.sum(axis=1)
    observed = float((ratings * (1 - _pair_agreement(table))).sum()) / n
    totals = table.sum(axis=0)
    expected = float(n**2 - totals @ totals) / (n * (n - 1))
    return 1 - observed / expected if expected else math.nan


def gwet_ac1(counts: ArrayLike) -> float:
    """Return Gwet's AC1 (2008), steady at rare classes; ``counts`` as from :func:`tally`, ratings may miss.

    Include the classes nobody chose as columns of zeros, they matter to what chance would give.
    """
    table = _counts(counts)
    pairable = _pairable(table)
    if len(pairable) == 0 or table.shape[1] < 2:
        return math.nan
    rated = table[table.sum(axis=1) > 0]
    shares = (rated / rated.sum(axis=1, keepdims=True)).mean(axis=0)
    expected = float((shares * (1 - shares)).sum()) / (table.shape[1] - 1)
    return _beyond_chance(float(_pair_agreement(pairable).mean()), expected)


def class_agreement(counts: ArrayLike) -> NDArray[np.float64]:
    """Return for each class how often a second rater of the row says it too, given that one did.

    Shape (classes,); ``counts`` as from :func:`tally`; NaN for a class that no row with two ratings has.
    Positive and negative agreement of Cicchetti and Feinstein (1990), for any number of raters.
    """
    table = _pairable(_counts(counts))
    others = table.sum(axis=1, keepdims=True) - 1
    both = (table * (table - 1) / others).sum(axis=0)
    totals = table.sum(axis=0)
    found = np.full(table.shape[1], math.nan)
    np.divide(both, totals, out=found, where=totals > 0)
    return found


def _counts(table: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(table, dtype=float)
    if array.ndim != 2 or not (array >= 0).all():
        raise ValueError("counts are a table of numbers from 0 up")
    return array


def _pairable(table: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(table[table.sum(axis=1) >= 2])


def _pair_agreement(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of agreeing pairs of ratings in each row; every row has at least 2 ratings."""
    ratings = table.sum(axis=1)
    return np.asarray((table * (table - 1)).sum(axis=1) / (ratings * (ratings - 1)))


def _beyond_chance(observed: float, expected: float) -> float:
    return (observed - expected) / (1 - expected) if expected < 1 else math.nan
