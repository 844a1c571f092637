import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmless.stats import ConfidenceSequence, wilson

STREAMS = st.lists(st.one_of(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=60)


def after(values, **options):
    sequence = ConfidenceSequence(**options)
    sequence.extend(values)
    return sequence.interval


@pytest.mark.parametrize(("n", "high"), [(10, 0.472), (50, 0.133), (100, 0.070), (200, 0.036)])
def test_zeros_alone_give_the_worked_examples(n, high):
    found = after([0] * n)
    assert (found.low, found.high) == pytest.approx((0, high), abs=1e-9)


@pytest.mark.parametrize(
    ("n", "limits"),
    [
        (50, (0.024, 0.258)),
        (100, (0.042, 0.207)),
        (200, (0.055, 0.176)),
        (500, (0.067, 0.150)),
        (1000, (0.074, 0.137)),
    ],
)
def test_one_failure_in_ten_gives_the_worked_examples(n, limits):
    found = after(([1] + [0] * 9) * (n // 10))
    assert found.rate == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx(limits, abs=1e-9)


def by_the_book(values, alpha, steps):
    """The published algorithm, one candidate mean at a time."""
    low, high = 0.0, 1.0
    means = [i / steps for i in range(steps + 1)]
    capital = {m: [0.0, 0.0] for m in means}
    alive, total, squares = set(means), 0.0, 0.25
    for t, x in enumerate(values, start=1):
        stake = math.sqrt(2 * math.log(2 / alpha) / (squares / t * t * math.log(1 + t)))
        for m in means:
            up = min(stake, 0.5 / m) if m else stake
            down = min(stake, 0.5 / (1 - m)) if m < 1 else stake
            capital[m][0] += math.log(1 + up * (x - m))
            capital[m][1] += math.log(1 - down * (x - m))
            if max(capital[m]) + math.log(0.5) >= math.log(1 / alpha):
                alive.discard(m)
        total += x
        squares += (x - (0.5 + total) / (t + 1)) ** 2
        if alive:
            low, high = max(low, min(alive) - 1 / steps), min(high, max(alive) + 1 / steps)
    return low, high


@given(values=STREAMS, alpha=st.sampled_from([0.01, 0.05, 0.2]))
@settings(max_examples=40, deadline=None)
def test_the_vectorised_class_equals_the_published_algorithm(values, alpha):
    found = after(values, confidence=1 - alpha, steps=50)
    assert (found.low, found.high) == pytest.approx(by_the_book(values, alpha, 50), abs=1e-9)


@given(values=STREAMS, population=st.sampled_from([None, 60, 500]))
def test_intervals_are_nested_within_0_and_1(values, population):
    sequence = ConfidenceSequence(population=population)
    before = sequence.interval
    for value in values:
        sequence.update(value)
        now = sequence.interval
        assert 0 <= before.low <= now.low <= now.high <= before.high <= 1
        before = now
    assert sequence.n == len(values)
    assert before.rate == pytest.approx(np.mean(values))


@given(values=STREAMS)
def test_exchanging_events_and_non_events_mirrors_the_sequence(values):
    found, mirrored = after(values), after([1 - value for value in values])
    assert (found.low, found.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-9)


def test_before_any_value_nothing_is_known():
    found = ConfidenceSequence().interval
    assert math.isnan(found.rate)
    assert (found.low, found.high) == (0, 1)


def test_a_population_seen_in_full_leaves_no_doubt():
    values = np.random.default_rng(1).permutation([1] * 13 + [0] * 37)
    found = after(values, population=50)
    assert (found.low, found.high) == pytest.approx((0.26, 0.26))


def test_knowing_the_population_narrows_the_interval():
    values = np.random.default_rng(1).permutation([1] * 20 + [0] * 180)[:120]
    assert after(values, population=200).width < 0.7 * after(values).width


@pytest.mark.parametrize("population", [None, 4400])
def test_an_unrandom_order_leaves_the_last_limits_that_did_not_cross(population):
    found = after([0] * 400 + [1] * 4000, population=population, steps=100)
    assert 0 <= found.low <= found.high <= 1
    assert found.rate > found.high


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_values_outside_0_and_1_are_refused(value):
    with pytest.raises(ValueError, match="values lie"):
        ConfidenceSequence().update(value)


def test_more_values_than_the_population_are_refused():
    with pytest.raises(ValueError, match="were seen"):
        after([0, 1, 0], population=2)


@pytest.mark.parametrize("options", [{"confidence": 1}, {"population": 0}, {"steps": 0}])
def test_a_sequence_that_cannot_be_is_refused(options):
    with pytest.raises(ValueError):
        ConfidenceSequence(**options)


def ever_missed(rows, rate, population=None):
    """Whether the interval ever left ``rate`` out; as intervals are nested, the last one shows it."""
    return [rate not in after(row, population=population, steps=200) for row in rows]


def test_looking_after_every_value_misses_the_rate_in_at_most_five_percent_of_runs():
    rows = np.random.default_rng(7).random((200, 300)) < 0.1
    assert np.mean(ever_missed(rows, 0.1)) <= 0.05


def test_looking_after_every_draw_from_a_population_misses_in_at_most_five_percent_of_runs():
    rng, population = np.random.default_rng(7), np.repeat([1, 0], [12, 108])
    rows = [rng.permutation(population)[:100] for _ in range(400)]
    assert np.mean(ever_missed(rows, 0.1, 120)) <= 0.05


def test_looking_at_wilsons_interval_after_every_value_misses_far_more_often():
    counts = np.cumsum(np.random.default_rng(7).random((1000, 1000)) < 0.1, axis=1)
    n = np.arange(10, 1001)
    high = {}
    missed = np.zeros(1000, dtype=bool)
    for size in n[::10]:
        high = [0.1 not in wilson(k, int(size)) for k in range(int(size) + 1)]
        missed |= np.array(high)[counts[:, size - 1]]
    assert missed.mean() > 0.25
