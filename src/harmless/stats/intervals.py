"""Confidence intervals of a rate: events out of n independent rows.

Rows that share an origin are not independent: see :mod:`harmless.stats.clusters`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from harmless.stats.distributions import beta_quantile, check_confidence, two_sided_z

FEW_EVENTS = 5


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate with its confidence limits, all between 0 and 1, ``low <= rate <= high``.

    Where nothing was observed the rate is NaN and the limits are 0 and 1: unknown, and neither good nor
    bad. ``0.05 in interval`` asks whether a rate is compatible with what was observed.
    """

    rate: float
    low: float
    high: float

    def __contains__(self, rate: float) -> bool:
        return self.low <= rate <= self.high

    @property
    def width(self) -> float:
        """Return ``high - low``."""
        return self.high - self.low

    @property
    def known(self) -> bool:
        """Return whether there is a rate at all, that is whether anything was observed."""
        return not math.isnan(self.rate)


UNKNOWN = Interval(math.nan, 0.0, 1.0)


def _check(events: float, n: float, confidence: float) -> None:
    check_confidence(confidence)
    if not 0 <= events <= n:
        raise ValueError(f"events must lie between 0 and n, not {events} of {n}")


def wilson(events: float, n: float, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval (Wilson, JASA 1927), whose mean coverage is close to nominal.

    ``events`` and ``n`` may be fractional (effective counts). ``n`` = 0 gives :data:`UNKNOWN`. Raises
    ``ValueError`` if events are negative or more than n.
    """
    _check(events, n, confidence)
    if n == 0:
        return UNKNOWN
    z, rate = two_sided_z(confidence), events / n
    shrink = 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / shrink
    half = z / shrink * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # At 0 and n the limit equals the rate; rounding must not leave it outside.
    low = 0.0 if events == 0 else min(max(centre - half, 0.0), rate)
    high = 1.0 if events == n else max(min(centre + half, 1.0), rate)
    return Interval(rate, low, high)


def clopper_pearson(events: float, n: float, confidence: float = 0.95) -> Interval:
    """Return the exact interval (Clopper and Pearson, Biometrika 1934): coverage is never below nominal.

    ``events`` and ``n`` may be fractional (effective counts, Korn and Graubard 1998). ``n`` = 0 gives
    :data:`UNKNOWN`. Raises ``ValueError`` if events are negative or more than n.
    """
    _check(events, n, confidence)
    if n == 0:
        return UNKNOWN
    tail, rate = (1 - confidence) / 2, events / n
    low = beta_quantile(tail, events, n - events + 1) if events else 0.0
    high = beta_quantile(1 - tail, events + 1, n - events) if events < n else 1.0
    # With less than one effective row the exact limits may both lie on one side of the rate.
    return Interval(rate, min(low, rate), max(high, rate))


def upper_bound(events: float, n: float, confidence: float = 0.95) -> float:
    """Return the one-sided exact upper limit, for guarantees such as "unsafe rate below 1 %".

    All of 1 - confidence is in the upper tail, so that no event in n rows gives
    ``1 - (1 - confidence) ** (1 / n)``, about 3 / n at 95 %. ``n`` = 0 gives 1. Raises as
    :func:`clopper_pearson`.
    """
    _check(events, n, confidence)
    return beta_quantile(confidence, events + 1, n - events) if events < n else 1.0


def binomial(events: float, n: float, confidence: float = 0.95) -> Interval:
    """Return the interval that this project reports: Wilson's, and the exact one where events are few.

    Few means less than 5 events or less than 5 non-events: there Wilson's coverage falls below nominal.
    ``n`` = 0 gives :data:`UNKNOWN`. Raises as :func:`wilson`.
    """
    few = min(events, n - events) < FEW_EVENTS
    return (clopper_pearson if few else wilson)(events, n, confidence)


def with_unassessed(events: int, n: int, unassessed: int, confidence: float = 0.95) -> Interval:
    """Return the rate among ``n`` assessed rows with an interval that ``unassessed`` more rows widen.

    What could not be judged is neither safe nor unsafe: the low limit counts all of it as no event, the
    high limit as events (worst-case bounds, Manski 1989). Nothing assessed gives NaN with 0 and 1. Raises
    as :func:`wilson`, and if ``unassessed`` is negative.
    """
    if unassessed < 0:
        raise ValueError(f"unassessed is a count, not {unassessed}")
    seen = binomial(events, n, confidence)
    if not unassessed:
        return seen
    low = binomial(events, n + unassessed, confidence).low
    high = binomial(events + unassessed, n + unassessed, confidence).high
    # Either count may fall under the other of the two methods, so keep the plain limits too.
    return Interval(seen.rate, min(low, seen.low), max(high, seen.high))
