"""Whether a probability means what it says: rows given 0.8 should have the event in 8 cases of 10."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins of a reliability diagram, the empty ones left out; all of shape (bins,).

    ``count`` rows in the bin, their mean ``predicted`` probability and the ``observed`` rate of events.
    """

    count: NDArray[np.int64]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Return the expected calibration error: the mean gap of predicted and observed over rows."""
        if not self.count.sum():
            return math.nan
        gaps = np.abs(self.predicted - self.observed)
        return float(self.count @ gaps / self.count.sum())


def reliability(
    probabilities: ArrayLike, outcomes: ArrayLike, *, bins: int = 10, equal_mass: bool = False
) -> Reliability:
    """Return how predicted ``probabilities`` of the event compare to ``outcomes`` (0/1), shapes (n,) and (n,).

    Bins are of equal width, a value on an edge in the upper one; or with ``equal_mass`` between quantiles,
    with equal values never split. Raises ``ValueError`` on values outside [0, 1], different lengths, no bin.
    """
    p, y = _check(probabilities, outcomes)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    edges = np.linspace(0, 1, bins + 1)
    if equal_mass and len(p):
        edges = np.quantile(p, edges)
    index = np.searchsorted(edges[1:-1], p, side="right")
    count = np.bincount(index, minlength=bins)
    full = count > 0
    predicted = np.bincount(index, weights=p, minlength=bins)[full] / count[full]
    observed = np.bincount(index, weights=y, minlength=bins)[full] / count[full]
    return Reliability(count[full], predicted, observed)


def calibration_error(
    probabilities: ArrayLike, outcomes: ArrayLike, *, bins: int = 10, equal_mass: bool = False
) -> float:
    """Return the expected calibration error (Naeini et al. 2015) in [0, 1]; NaN without rows.

    Biased upwards for few rows: compare only at the same n and bins. See :func:`reliability`.
    """
    return reliability(probabilities, outcomes, bins=bins, equal_mass=equal_mass).error


def brier_score(probabilities: ArrayLike, outcomes: ArrayLike) -> float:
    """Return the mean squared error of probabilities (Brier 1950) in [0, 1]; NaN without rows.

    Raises ``ValueError`` on values outside [0, 1] or different lengths.
    """
    p, y = _check(probabilities, outcomes)
    return float(((p - y) ** 2).mean()) if len(p) else math.nan


def _check(probabilities: ArrayLike, outcomes: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    p, y = np.asarray(probabilities, dtype=float), np.asarray(outcomes, dtype=float)
    if p.ndim != 1 or p.shape != y.shape:
        raise ValueError(f"each probability needs one outcome, not shapes {p.shape} and {y.shape}")
    if not ((p >= 0) & (p <= 1)).all() or not np.isin(y, (0, 1)).all():
        raise ValueError("probabilities lie between 0 and 1, outcomes are 0 or 1")
    return p, y
