"""How much has not been seen yet: kinds of events that a sample has missed.

Counts are those of the kinds that were seen (failures a cluster), each at least 1; they depend on how finely
kinds are told apart and on how the sample was drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from harmless.stats.distributions import two_sided_z
from harmless.stats.intervals import UNKNOWN, Interval, wilson


class Unseen(NamedTuple):
    """Estimates of what is unseen.

    ``mass`` is the chance that the next event is of a kind not seen before, with its interval and
    ``standard_error``; ``kinds`` the number of kinds, seen and unseen, that there are at least.
    """

    mass: Interval
    standard_error: float
    kinds: float


def unseen(counts: Sequence[int], confidence: float = 0.95) -> Unseen:
    """Return the estimates; all are unknown, or NaN, where nothing was seen.

    The mass is Good's and Turing's (Good 1953): the share of events whose kind was seen once. Its standard
    error is that of Esty 1983. The interval is normal, widened to Wilson's for that share, since the normal one
    has no width where no kind or every kind was seen once. The number of kinds is Chao's lower bound in its
    bias-corrected form (Chao 1984, 2005).

    Raises:
        ValueError: a count below 1.
    """
    if any(count < 1 for count in counts):
        raise ValueError("counts are of kinds that were seen: 1 and more")
    z = two_sided_z(confidence)
    n = sum(counts)
    if not n:
        return Unseen(UNKNOWN, math.nan, math.nan)
    once, twice = list(counts).count(1), list(counts).count(2)
    mass = once / n
    error = math.sqrt(once / n**2 * (1 - mass) + 2 * twice / n**2)
    least = wilson(once, n, confidence)
    low, high = min(mass - z * error, least.low), max(mass + z * error, least.high)
    return Unseen(
        Interval(mass, max(low, 0.0), min(high, 1.0)),
        error,
        len(counts) + once * (once - 1) / (2 * (twice + 1)),
    )
