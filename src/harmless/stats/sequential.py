"""A confidence sequence: an interval that stays valid however often one looks, so that a run may stop early.

Source: hedged betting, Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting",
JRSS B 2024, in the maximum form and with the defaults of the authors' package confseq.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from harmless.stats.distributions import check_confidence
from harmless.stats.intervals import Interval

_ROUNDING = 1e-9


class ConfidenceSequence:
    """An interval of the mean of values in [0, 1], updated value by value, valid at every moment at once.

    The values must come in random order (shuffle with a recorded seed). With ``population`` they are drawn
    without replacement from that many, and the interval is of the population's mean; it closes when all are
    seen. Intervals are nested: a later one lies within each earlier one. The rate is the mean so far; it may
    leave the interval only if the mean drifts, that is if the order was not random.

    Args:
        confidence: the chance that the true mean is inside at all times, for instance 0.95.
        population: number of rows to draw from, or None for a stream without end.
        steps: grid steps between 0 and 1; the limits are rounded outwards to them.

    Raises:
        ValueError: on a confidence outside (0, 1), or a population or steps below 1.
    """

    def __init__(self, confidence: float = 0.95, *, population: int | None = None, steps: int = 1000) -> None:
        check_confidence(confidence)
        if steps < 1 or (population is not None and population < 1):
            raise ValueError("population and steps are at least 1")
        self._population, self._step = population, 1 / steps
        self._means = np.linspace(0, 1, steps + 1)
        self._alive = np.ones(steps + 1, dtype=bool)
        self._up, self._down = np.zeros(steps + 1), np.zeros(steps + 1)
        # Half the capital bets that the mean is higher, half that it is lower.
        self._limit = self._log_bet = math.log(2 / (1 - confidence))
        self._n, self._sum, self._squares = 0, 0.0, 0.25
        self._low, self._high = 0.0, 1.0

    @property
    def n(self) -> int:
        """Return how many values were seen."""
        return self._n

    @property
    def interval(self) -> Interval:
        """Return the mean so far with the limits that hold at all times; NaN in 0 and 1 before any value."""
        return Interval(self._sum / self._n if self._n else math.nan, self._low, self._high)

    def extend(self, values: Iterable[float]) -> None:
        """Take in several values, in their order; see :meth:`update`."""
        for value in values:
            self.update(value)

    def update(self, value: float) -> None:
        """Take in one value. Raises ``ValueError`` outside [0, 1] or past the end of the population."""
        if not 0 <= value <= 1:
            raise ValueError(f"values lie between 0 and 1, not {value}")
        if self._n == self._population:
            raise ValueError(f"all {self._population} rows of the population were seen")
        self._bet(float(value))
        self._n += 1
        self._sum += value
        self._squares += (value - (0.5 + self._sum) / (self._n + 1)) ** 2
        self._narrow()

    def _bet(self, value: float) -> None:
        """Bet on the value against every candidate mean, with a stake that only the past has set."""
        t = self._n + 1
        stake = math.sqrt(2 * self._log_bet / (self._squares / t * t * math.log1p(t)))
        means, possible = self._conditional_means()
        # A stake of at most half of all that can be lost keeps the capital positive.
        up = np.minimum(stake, 0.5 / np.maximum(means, _ROUNDING))
        down = np.minimum(stake, 0.5 / np.maximum(1 - means, _ROUNDING))
        self._up += np.log1p(up * (value - means))
        self._down += np.log1p(-down * (value - means))
        self._alive &= possible & (np.maximum(self._up, self._down) < self._limit)

    def _conditional_means(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the mean of what is left under each candidate, and whether that is possible at all."""
        if self._population is None:
            return self._means, np.ones_like(self._alive)
        left = (self._population * self._means - self._sum) / (self._population - self._n)
        return np.clip(left, 0, 1), (left >= -_ROUNDING) & (left <= 1 + _ROUNDING)

    def _narrow(self) -> None:
        low, high = 0.0, 1.0
        if self._alive.any():
            kept = self._means[self._alive]
            low, high = float(kept[0]) - self._step, float(kept[-1]) + self._step
        if self._population is not None:
            unseen = self._population - self._n
            low = max(low, self._sum / self._population)
            high = min(high, (self._sum + unseen) / self._population)
        low, high = max(low, self._low), min(high, self._high)
        # Limits that cross rule every mean out: the order was not random, and the last ones stand.
        if low <= high:
            self._low, self._high = low, high
