import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import proportion_confint

from harmless.stats import UNKNOWN, Interval, binomial, clopper_pearson, upper_bound, wilson, with_unassessed

METHODS = [wilson, clopper_pearson, binomial]
WORKED = [
    (0, 100, (0, 0.036993), (0, 0.036217)),
    (3, 100, (0.010255, 0.084519), (0.006230, 0.085176)),
    (50, 100, (0.403832, 0.596168), (0.398321, 0.601679)),
    (97, 100, (0.915481, 0.989745), (0.914824, 0.993770)),
    (100, 100, (0.963007, 1), (0.963783, 1)),
    (1, 20, (0.008881, 0.236131), (0.001265, 0.248733)),
    (7, 400, (0.008502, 0.035677), (0.007064, 0.035723)),
]
ROWS = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
CONFIDENCES = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])


def limits(interval):
    return interval.low, interval.high


@pytest.mark.parametrize(("events", "n", "score", "exact"), WORKED)
def test_both_methods_give_the_worked_examples(events, n, score, exact):
    assert limits(wilson(events, n)) == pytest.approx(score, abs=6e-7)
    assert limits(clopper_pearson(events, n)) == pytest.approx(exact, abs=6e-7)


def test_no_event_in_560_rows_leaves_at_most_two_thirds_of_a_percent():
    assert limits(clopper_pearson(0, 560)) == pytest.approx((0, 0.006566), abs=6e-7)


@given(rows=ROWS, confidence=CONFIDENCES)
def test_both_methods_equal_statsmodels(rows, confidence):
    events, n = rows
    for ours, theirs in ((wilson, "wilson"), (clopper_pearson, "beta")):
        expected = proportion_confint(events, n, alpha=1 - confidence, method=theirs)
        assert limits(ours(events, n, confidence)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("events", [0, 1, 4, 50, 999, 33_333, 50_000, 99_999, 100_000])
def test_the_exact_interval_is_accurate_for_a_hundred_thousand_rows(events):
    expected = scipy_stats.binomtest(events, 100_000).proportion_ci()
    assert limits(clopper_pearson(events, 100_000)) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
@given(rows=ROWS, confidence=CONFIDENCES)
def test_limits_lie_in_0_to_1_around_the_rate(method, rows, confidence):
    found = method(*rows, confidence)
    assert 0 <= found.low <= found.rate <= found.high <= 1
    assert found.width > 0


@pytest.mark.parametrize("method", METHODS)
@given(rows=ROWS)
def test_exchanging_events_and_non_events_mirrors_the_interval(method, rows):
    events, n = rows
    found, mirrored = method(events, n), method(n - events, n)
    assert limits(found) == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
@given(n=st.integers(1, 3000), data=st.data())
def test_one_more_event_never_lowers_a_limit(method, n, data):
    events = data.draw(st.integers(0, n - 1))
    fewer, more = method(events, n), method(events + 1, n)
    assert fewer.low <= more.low
    assert fewer.high <= more.high


@pytest.mark.parametrize("method", METHODS)
@given(rows=ROWS)
def test_more_confidence_gives_a_wider_interval(method, rows):
    narrow, wide = method(*rows, 0.8), method(*rows, 0.99)
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


@pytest.mark.parametrize("events", [0, 4, 96, 100])
def test_fewer_than_five_events_or_non_events_get_the_exact_interval(events):
    assert binomial(events, 100) == clopper_pearson(events, 100)
    assert binomial(events, 100) != wilson(events, 100)


@pytest.mark.parametrize("events", [5, 50, 95])
def test_five_events_or_more_get_wilsons_interval(events):
    assert binomial(events, 100) == wilson(events, 100)


@pytest.mark.parametrize("method", METHODS)
def test_no_rows_tell_nothing(method):
    found = method(0, 0)
    assert found is UNKNOWN
    assert math.isnan(found.rate)
    assert limits(found) == (0, 1)
    assert not found.known
    assert method(0, 1).known


@pytest.mark.parametrize("method", [*METHODS, upper_bound])
@pytest.mark.parametrize(("events", "n"), [(-1, 10), (11, 10), (1, 0), (math.nan, 10)])
def test_impossible_counts_are_refused(method, events, n):
    with pytest.raises(ValueError, match="events must lie"):
        method(events, n)


def test_a_rate_is_in_an_interval_between_its_limits():
    assert 0.2 in Interval(0.2, 0.1, 0.3)
    assert 0.31 not in Interval(0.2, 0.1, 0.3)


@pytest.mark.parametrize("n", [1, 10, 299, 5000])
def test_the_one_sided_bound_at_zero_events_has_a_closed_form(n):
    assert upper_bound(0, n) == pytest.approx(1 - 0.05 ** (1 / n), abs=1e-12)


@given(rows=ROWS)
def test_the_one_sided_bound_is_the_upper_limit_at_twice_the_error(rows):
    assert upper_bound(*rows, 0.95) == pytest.approx(clopper_pearson(*rows, 0.9).high, abs=1e-12)


def test_the_one_sided_bound_without_rows_or_without_non_events_is_one():
    assert upper_bound(0, 0) == upper_bound(7, 7) == 1


@given(n=st.integers(0, 300), unassessed=st.integers(0, 100), confidence=CONFIDENCES, data=st.data())
def test_unassessed_rows_only_widen_the_interval_and_leave_the_rate(n, unassessed, confidence, data):
    events = data.draw(st.integers(0, n))
    plain = binomial(events, n, confidence)
    found = with_unassessed(events, n, unassessed, confidence)
    assert 0 <= found.low <= plain.low
    assert plain.high <= found.high <= 1
    assert found.rate == plain.rate or not plain.known
    if n and unassessed:
        assert found.low <= events / (n + unassessed)
        assert (events + unassessed) / (n + unassessed) <= found.high


def test_unassessed_rows_count_as_no_event_below_and_as_events_above():
    found = with_unassessed(20, 80, 20)
    assert found == Interval(0.25, wilson(20, 100).low, wilson(40, 100).high)


def test_a_negative_number_of_unassessed_rows_is_refused():
    with pytest.raises(ValueError, match="unassessed"):
        with_unassessed(1, 2, -1)


def coverage(method, n, rates):
    """Exact coverage: the probability of all counts whose interval holds the true rate."""
    found = [method(k, n) for k in range(n + 1)]
    low, high = (np.array([getattr(each, side) for each in found]) for side in ("low", "high"))
    chance = scipy_stats.binom.pmf(np.arange(n + 1), n, rates[:, None])
    return (chance * ((low <= rates[:, None]) & (rates[:, None] <= high))).sum(axis=1)


@pytest.mark.parametrize("n", [10, 30, 200])
def test_the_exact_interval_covers_at_least_95_percent_at_every_rate(n):
    assert coverage(clopper_pearson, n, np.linspace(0.001, 0.999, 333)).min() >= 0.95


@pytest.mark.parametrize("n", [10, 30, 200])
def test_wilson_covers_95_percent_on_average_but_not_at_every_rate(n):
    found = coverage(wilson, n, np.linspace(0.001, 0.999, 333))
    assert 0.945 <= found.mean() <= 0.965
    rare = np.geomspace(0.01 / n, 0.5, 333)
    assert coverage(wilson, n, rare).min() < 0.9 < coverage(binomial, n, rare).min()


@pytest.mark.parametrize("n", [10, 30, 200])
def test_the_exact_interval_for_few_events_repairs_wilson(n):
    found = coverage(binomial, n, np.linspace(0.001, 0.999, 333))
    assert found.mean() >= 0.95
    assert found.min() >= 0.92
