"""Intervals of means between 0 and 1, and of medians, hold whatever the distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harmless.stats import binomial, bounded_mean, median


def test_a_mean_of_events_has_the_interval_of_a_rate() -> None:
    found, rate = bounded_mean([1] * 6 + [0] * 14, range(20)), binomial(6, 20)
    assert (found.rate, found.low, found.high) == pytest.approx((rate.rate, rate.low, rate.high))


def test_values_without_spread_still_leave_doubt() -> None:
    found = bounded_mean([0.0] * 5, range(5))
    assert (found.rate, found.low) == (0.0, 0.0)
    assert found.high > 0.4


def test_rows_of_one_origin_count_as_one() -> None:
    apart = bounded_mean([0.2, 0.4, 0.6, 0.8], [1, 2, 3, 4])
    alike = bounded_mean([0.2, 0.4, 0.6, 0.8], [1, 1, 2, 2])
    assert (apart.effective_n, alike.effective_n) == (4, 2)
    assert alike.width > apart.width


def test_what_was_not_assessed_widens_the_interval() -> None:
    known = bounded_mean([0.5] * 8, range(8))
    doubtful = bounded_mean([0.5] * 8 + [math.nan] * 4, range(12))
    assert doubtful.rate == 0.5
    assert doubtful.low < known.low < known.high < doubtful.high
    assert (doubtful.n, doubtful.unassessed) == (8, 4)


def test_nothing_assessed_is_unknown() -> None:
    assert not bounded_mean([math.nan], ["a"]).known
    assert not bounded_mean([], []).known


@pytest.mark.parametrize(("values", "labels"), [([1.5], [0]), ([-0.1], [0]), ([0.5], [0, 1])])
def test_a_mean_refuses_what_is_no_value(values: list[float], labels: list[int]) -> None:
    with pytest.raises(ValueError):
        bounded_mean(values, labels)


def test_the_interval_of_a_mean_covers() -> None:
    rng = np.random.default_rng(0)
    hits = sum(0.25 in bounded_mean(rng.beta(0.25, 0.75, 30), range(30)) for _ in range(300))
    assert hits >= 285


def test_a_median_has_the_limits_of_order_statistics() -> None:
    # n = 10: 2 and 9 (P(X <= 1) = 11 / 1024), as in tables of the sign test
    assert median([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]) == (5.5, 2, 9, 10)


def test_few_values_have_a_median_and_no_limits() -> None:
    assert median([3, 1, 2]) == (2, None, None, 3)
    assert median([1, 2, 3, 4, 5, 6])[1:3] == (1, 6)
    assert median([]) == (None, None, None, 0)


def test_the_interval_of_a_median_covers() -> None:
    rng = np.random.default_rng(1)
    found = [median(rng.exponential(size=21).tolist()) for _ in range(400)]
    hits = sum(low <= math.log(2) <= high for _, low, high, _ in found if low is not None and high is not None)
    assert hits >= 380
