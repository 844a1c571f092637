import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from harmless.stats import ErrorRates, binomial, prediction_powered, rogan_gladen

GOOD = ErrorRates(0.90, 200, 0.95, 300)
LABELS = [1] * 35 + [0] * 165
JUDGED = [1] * 30 + [0] * 5 + [1] * 10 + [0] * 155
UNLABELLED = [1] * 400 + [0] * 1600
BITS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=80)


def test_rogan_gladen_gives_the_worked_example():
    found = rogan_gladen(120, 1000, GOOD)
    assert (found.rate, found.se) == pytest.approx((0.082353, 0.018301), abs=6e-7)
    wald = found.rate - 1.959964 * found.se, found.rate + 1.959964 * found.se
    assert wald == pytest.approx((0.0465, 0.1182), abs=6e-5)
    assert (found.low, found.high) == pytest.approx(wald, abs=0.004)
    assert not found.refusal


def test_a_perfect_judge_known_perfectly_leaves_the_agresti_coull_interval():
    perfect = ErrorRates(1.0, 10**12, 1.0, 10**12)
    found = rogan_gladen(30, 200, perfect)
    expected = proportion_confint(30, 200, method="agresti_coull")
    assert found.rate == pytest.approx(0.15)
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-8)


def test_fewer_flags_than_the_judges_false_alarms_give_zero_and_still_an_interval():
    found = rogan_gladen(40, 1000, GOOD)
    assert found.rate == found.low == 0
    assert 0 < found.high < 0.05


@pytest.mark.parametrize("flagged", [0, 20, 950, 1000])
def test_flags_that_no_rate_explains_show_that_the_error_rates_do_not_hold(flagged):
    found = rogan_gladen(flagged, 1000, GOOD)
    assert "do not hold" in found.refusal
    assert (found.low, found.high) == (0, 1)


@pytest.mark.parametrize(
    "judge",
    [
        ErrorRates(0.5, 1000, 0.5, 1000),
        ErrorRates(0.6, 1000, 0.45, 1000),
        ErrorRates(0.3, 500, 0.3, 500),
        ErrorRates(0.75, 8, 0.75, 8),
    ],
)
def test_a_judge_that_hardly_tells_the_classes_apart_is_refused_as_an_instrument(judge):
    found = rogan_gladen(100, 1000, judge)
    assert "too poorly" in found.refusal
    assert math.isnan(found.rate)
    assert (found.low, found.high) == (0, 1)


def test_a_rate_of_nothing_judged_is_refused():
    assert rogan_gladen(0, 0, GOOD).refusal == "nothing was judged"


@given(n=st.integers(1, 2000), data=st.data())
def test_corrected_limits_lie_in_0_to_1_around_the_rate_and_rise_with_the_flags(n, data):
    flagged = data.draw(st.integers(0, n))
    found = rogan_gladen(flagged, n, GOOD)
    assert found.width > 0
    if not found.refusal:
        assert 0 <= found.low <= found.rate <= found.high <= 1
        more = rogan_gladen(min(flagged + 1, n), n, GOOD)
        assert more.refusal or found.rate <= more.rate


@given(n=st.integers(1, 2000), data=st.data())
def test_exchanging_the_classes_mirrors_the_correction(n, data):
    flagged = data.draw(st.integers(0, n))
    swapped = ErrorRates(GOOD.specificity, GOOD.negatives, GOOD.sensitivity, GOOD.positives)
    found, mirrored = rogan_gladen(flagged, n, GOOD), rogan_gladen(n - flagged, n, swapped)
    expected = (1 - mirrored.rate, 1 - mirrored.high, 1 - mirrored.low)
    assert (found.rate, found.low, found.high) == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert bool(found.refusal) == bool(mirrored.refusal)


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.1, 0.6])
def test_the_corrected_interval_covers_the_true_rate_and_the_raw_one_does_not(rate):
    rng = np.random.default_rng(17)
    chance = rate * 0.85 + (1 - rate) * 0.08
    draws = zip(
        rng.binomial(500, chance, 2000),
        rng.binomial(100, 0.85, 2000) / 100,
        rng.binomial(150, 0.92, 2000) / 150,
        strict=True,
    )
    covered, raw = 0, 0
    for flagged, sensitivity, specificity in draws:
        found = rogan_gladen(int(flagged), 500, ErrorRates(sensitivity, 100, specificity, 150))
        covered += rate in found
        raw += rate in binomial(int(flagged), 500)
    assert covered / 2000 >= 0.94
    assert raw / 2000 < 0.9


@pytest.mark.parametrize(
    "arguments", [(1.1, 10, 0.9, 10), (0.9, 10, -0.1, 10), (0.9, 0, 0.9, 10), (0.9, 10, 1, 0)]
)
def test_error_rates_that_are_none_are_refused(arguments):
    with pytest.raises(ValueError, match="sensitivity"):
        ErrorRates(*arguments)


def test_more_flags_than_rows_are_refused():
    with pytest.raises(ValueError, match="flagged"):
        rogan_gladen(11, 10, GOOD)


@pytest.mark.parametrize(("tuning", "se"), [(0, 0.026868), (1, 0.021257), (None, 0.018606)])
def test_prediction_power_gives_the_worked_example(tuning, se):
    found = prediction_powered(LABELS, JUDGED, UNLABELLED, tuning=tuning)
    assert found.rate == pytest.approx(0.175)
    assert found.se == pytest.approx(se, abs=6e-7)


def test_the_tuned_weight_is_that_of_the_worked_example():
    assert prediction_powered(LABELS, JUDGED, UNLABELLED).tuning == pytest.approx(0.653409, abs=6e-7)


def test_labels_alone_give_the_plain_interval():
    found, plain = prediction_powered(LABELS, JUDGED, UNLABELLED, tuning=0), binomial(35, 200)
    assert (found.rate, found.low, found.high) == (plain.rate, plain.low, plain.high)


@pytest.mark.parametrize("unlabelled", [[], UNLABELLED])
def test_few_labelled_events_fall_back_to_the_exact_interval_of_the_labels(unlabelled):
    labels = [1] * 4 + [0] * 96
    found, plain = prediction_powered(labels, labels, unlabelled), binomial(4, 100)
    assert (found.low, found.high, found.tuning) == (plain.low, plain.high, 0)


def test_a_judge_that_always_says_the_same_adds_nothing():
    assert prediction_powered(LABELS, [0] * 200, [0] * 2000).tuning == 0


def test_without_labels_there_is_no_correction():
    assert prediction_powered([], [], [1, 0]).refusal == "no row is labelled"


@given(rows=BITS, unlabelled=st.lists(st.floats(0, 1), max_size=60))
def test_prediction_powered_limits_lie_in_0_to_1_around_the_rate(rows, unlabelled):
    labels, judged = zip(*rows, strict=True)
    found = prediction_powered(labels, judged, unlabelled)
    assert 0 <= found.low <= found.rate <= found.high <= 1
    assert found.width > 0
    assert 0 <= found.tuning <= 1


@pytest.mark.parametrize(
    "arguments",
    [([1, 0], [1], [1]), ([0.5], [1], [1]), ([1], [1.5], [1]), ([1], [1], [math.nan]), ([[1]], [[1]], [1])],
)
def test_labels_and_verdicts_of_the_wrong_kind_are_refused(arguments):
    with pytest.raises(ValueError):
        prediction_powered(*arguments)


def test_a_tuning_above_one_is_refused():
    with pytest.raises(ValueError, match="tuning"):
        prediction_powered(LABELS, JUDGED, UNLABELLED, tuning=1.5)


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_prediction_power_covers_and_is_narrower_than_the_labels_alone(rate):
    rng, covered, widths = np.random.default_rng(23), 0, []
    for _ in range(1000):
        truth = rng.random(2200) < rate
        verdict = np.where(truth, rng.random(2200) < 0.9, rng.random(2200) < 0.05)
        found = prediction_powered(truth[:200], verdict[:200], verdict[200:])
        covered += rate in found
        widths.append((found.width, binomial(int(truth[:200].sum()), 200).width))
    mean = np.mean(widths, axis=0)
    assert covered / 1000 >= 0.93
    assert mean[0] < 0.85 * mean[1]
