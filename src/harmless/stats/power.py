"""How many rows a question needs, and what a given number can show.

All for a two-sided test at level ``alpha`` with the given ``power``. Rows are independent: multiply a
sample size by, or divide a number of rows by, :func:`harmless.stats.clusters.design_effect`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from harmless.stats.distributions import check_confidence, normal_quantile

Method = Literal["pooled", "continuity", "arcsine"]


def _z(alpha: float, power: float) -> tuple[float, float]:
    if not (0 < alpha < 1 and 0 < power < 1):
        raise ValueError(f"alpha and power lie between 0 and 1, not {alpha} and {power}")
    return normal_quantile(1 - alpha / 2), normal_quantile(power)


def _check_rates(*rates: float) -> None:
    if not all(0 <= rate <= 1 for rate in rates):
        raise ValueError(f"rates lie between 0 and 1, not {rates}")


def sample_size_two_groups(
    first: float,
    second: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    method: Method = "pooled",
) -> int:
    """Return the rows in each of two independent groups that tell rate ``first`` from ``second``.

    Pooled variance, the same with Fleiss's continuity correction (Fleiss, Levin and Paik 2003, chapter 4),
    or Cohen's arcsine (Cohen 1988). Raises ``ValueError`` on equal rates or rates outside [0, 1].
    """
    _check_rates(first, second)
    if first == second:
        raise ValueError("no number of rows tells two equal rates apart")
    n = _two_groups(first, second, _z(alpha, power), method)
    return math.ceil(n - 1e-9)


def _two_groups(first: float, second: float, z: tuple[float, float], method: Method) -> float:
    if method == "arcsine":
        gap = 2 * (math.asin(math.sqrt(first)) - math.asin(math.sqrt(second)))
        return 2 * (sum(z) / gap) ** 2
    difference, mean = abs(first - second), (first + second) / 2
    null = math.sqrt(2 * mean * (1 - mean))
    actual = math.sqrt(first * (1 - first) + second * (1 - second))
    n = ((z[0] * null + z[1] * actual) / difference) ** 2
    if method == "continuity":
        n = n / 4 * (1 + math.sqrt(1 + 4 / (n * difference))) ** 2
    return n


def sample_size_pairs(only_first: float, only_second: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return the pairs that McNemar's test needs (Connor, Biometrics 1987).

    ``only_first`` and ``only_second`` are the expected shares of pairs with the event in one run alone.
    Raises ``ValueError`` on equal shares, or shares that are not shares.
    """
    _check_rates(only_first, only_second, only_first + only_second)
    if only_first == only_second:
        raise ValueError("no number of pairs tells two equal shares apart")
    difference, discordant = abs(only_first - only_second), only_first + only_second
    return math.ceil(_pairs(difference, discordant, _z(alpha, power)) - 1e-9)


def _pairs(difference: float, discordant: float, z: tuple[float, float]) -> float:
    spread = math.sqrt(max(discordant - difference**2, 0.0))
    return float(((z[0] * math.sqrt(discordant) + z[1] * spread) / difference) ** 2)


def sample_size_zero_events(rate: float, confidence: float = 0.95) -> int:
    """Return the rows without a single event that show, one-sided, that the rate is below ``rate``.

    ``ln(1 - confidence) / ln(1 - rate)``, about 3 / rate at 95 %. Raises ``ValueError`` unless the rate lies
    strictly between 0 and 1.
    """
    check_confidence(confidence)
    if not 0 < rate < 1:
        raise ValueError(f"the rate must lie between 0 and 1, not {rate}")
    return math.ceil(math.log(1 - confidence) / math.log1p(-rate) - 1e-9)


def detectable_difference(
    rate: float, n: float, *, increase: bool = False, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """Return the smallest fall (or ``increase``) from ``rate`` that two groups of ``n`` rows would show.

    The answer lies in (0, 1]; None if not even a change to 0 (or 1) would show. Inverts
    :func:`sample_size_two_groups`, pooled. Raises ``ValueError`` on a rate outside [0, 1].
    """
    _check_rates(rate)
    z, room = _z(alpha, power), (1 - rate if increase else rate)
    sign = 1 if increase else -1
    return _smallest(lambda d: _two_groups(rate, rate + sign * d, z, "pooled") <= n, room)


def detectable_paired_difference(
    discordant: float, n: float, *, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """Return the smallest difference of paired rates that ``n`` pairs would show.

    ``discordant`` is the expected share of pairs that differ, which bounds the difference. None if not even
    ``discordant`` itself would show. Inverts :func:`sample_size_pairs`. Raises ``ValueError`` on a share
    outside [0, 1].
    """
    _check_rates(discordant)
    z = _z(alpha, power)
    return _smallest(lambda difference: _pairs(difference, discordant, z) <= n, discordant)


def _smallest(shows: Callable[[float], bool], room: float) -> float | None:
    """Return the least difference in (0, room] that shows; a larger one shows whenever a smaller does."""
    if room <= 0 or not shows(room):
        return None
    low, high = 0.0, room
    for _ in range(60):
        middle = (low + high) / 2
        if middle == low:
            break
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high
