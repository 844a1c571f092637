import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests

from harmless.stats import benjamini_hochberg, holm, mcnemar, paired

P_VALUES = st.lists(st.floats(0, 1), max_size=40)
TEN = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216]


@pytest.mark.parametrize(
    ("only_first", "only_second", "p", "mid_p"),
    [
        (5, 15, 0.041389, 0.026604),
        (0, 6, 0.03125, 0.015625),
        (2, 9, 0.065430, 0.038574),
        (10, 10, 1, 0.823803),
        (1, 0, 1, 0.5),
        (0, 0, 1, 1),
    ],
)
def test_the_exact_test_gives_the_worked_examples(only_first, only_second, p, mid_p):
    found = mcnemar(only_first, only_second, 100)
    assert (found.p, found.mid_p) == pytest.approx((p, mid_p), abs=6e-7)


@given(b=st.integers(0, 400), c=st.integers(0, 400))
def test_the_exact_test_equals_statsmodels(b, c):
    expected = reference_mcnemar([[0, b], [c, 0]], exact=True).pvalue
    assert mcnemar(b, c, 1000).p == pytest.approx(min(expected, 1), abs=1e-10)


@given(b=st.integers(0, 400), c=st.integers(0, 400))
def test_the_mid_p_value_subtracts_the_chance_of_the_observed_split(b, c):
    found = mcnemar(b, c, 1000)
    observed = scipy_stats.binom.pmf(min(b, c), b + c, 0.5) if b + c else 0
    two_tails = 2 * scipy_stats.binom.cdf(min(b, c), b + c, 0.5) if b + c else 1
    assert found.mid_p == pytest.approx(min(two_tails, 1) - observed, abs=1e-10)
    assert found.mid_p <= found.p


def test_the_effect_is_the_difference_of_the_rates_with_its_standard_error():
    found = mcnemar(15, 5, 100)
    assert found.effect == pytest.approx(0.10)
    assert found.se == pytest.approx(math.sqrt(20 - 100 / 100) / 100)


@given(n=st.integers(0, 500), confidence=st.sampled_from([0.5, 0.95, 0.99]), data=st.data())
def test_the_limits_hold_the_effect_and_exchange_with_the_runs(n, confidence, data):
    b = data.draw(st.integers(0, n))
    c = data.draw(st.integers(0, n - b))
    found, swapped = mcnemar(b, c, n, confidence), mcnemar(c, b, n, confidence)
    assert -1 <= found.low <= found.high <= 1
    assert (found.low, found.high) == pytest.approx((-swapped.high, -swapped.low))
    assert found.low < found.high
    if n:
        assert found.low <= found.effect <= found.high


def test_the_limits_cover_the_true_difference():
    n, chances = 30, (0.2, 0.05)
    covered = 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            found = mcnemar(b, c, n)
            if found.low <= chances[0] - chances[1] <= found.high:
                covered += scipy_stats.multinomial.pmf([b, c, n - b - c], n, [*chances, 1 - sum(chances)])
    assert 0.94 <= covered <= 0.985


def test_no_pairs_tell_nothing():
    found = mcnemar(0, 0, 0)
    assert math.isnan(found.effect)
    assert (found.p, found.low, found.high) == (1, -1, 1)


@pytest.mark.parametrize("counts", [(-1, 2, 10), (6, 5, 10)])
def test_impossible_discordant_counts_are_refused(counts):
    with pytest.raises(ValueError, match="discordant"):
        mcnemar(*counts)


def test_two_runs_over_the_same_prompts_are_compared_pair_by_pair():
    first, second = [1, 1, 1, 0, 0, 1], [0, 0, 1, 0, 1, 1]
    assert paired(first, second) == mcnemar(2, 1, 6)
    assert paired(np.array(first, bool), np.array(second, bool)) == mcnemar(2, 1, 6)


def test_runs_of_different_length_are_refused():
    with pytest.raises(ValueError, match="one value for each prompt"):
        paired([1, 0], [1])


@pytest.mark.parametrize("value", [0.5, math.nan, 2])
def test_events_other_than_0_and_1_are_refused(value):
    with pytest.raises(ValueError, match="0 or 1"):
        paired([1, value], [1, 0])


def test_holm_gives_the_worked_example():
    expected = [0.010, 0.072, *[0.312] * 5, *[0.615] * 3]
    assert holm(TEN) == pytest.approx(expected, abs=1e-9)


def test_benjamini_hochberg_gives_the_worked_example():
    expected = [0.010, 0.040, 0.084, 0.084, 0.084, 0.100, 0.105714, *[0.216] * 3]
    assert benjamini_hochberg(TEN) == pytest.approx(expected, abs=6e-7)
    assert benjamini_hochberg(TEN, dependent=True)[:2] == pytest.approx([0.029290, 0.117159], abs=6e-7)


@given(p=P_VALUES.filter(bool))
@settings(max_examples=25, deadline=None)
def test_adjusted_p_values_equal_statsmodels(p):
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1], abs=1e-12)
    by = multipletests(p, method="fdr_by")[1]
    assert benjamini_hochberg(p, dependent=True) == pytest.approx(by, abs=1e-12)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
@given(p=P_VALUES)
def test_adjusting_never_lowers_a_p_value_and_keeps_the_order(adjust, p):
    raw, adjusted = np.array(p), adjust(p)
    assert (adjusted >= raw - 1e-15).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(raw, kind="stable")]) >= 0).all()


@given(p=P_VALUES)
def test_holm_is_at_least_as_strict_as_benjamini_hochberg(p):
    assert (holm(p) >= benjamini_hochberg(p) - 1e-15).all()


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
@pytest.mark.parametrize("p", [[0.5, 1.2], [-0.1], [math.nan], [[0.5]]])
def test_what_is_no_p_value_is_refused(adjust, p):
    with pytest.raises(ValueError, match="p-values"):
        adjust(p)


def test_holm_keeps_false_findings_to_five_percent_of_families():
    p = np.random.default_rng(3).random((2000, 10))
    found = np.array([holm(family).min() < 0.05 for family in p])
    assert 0.035 <= found.mean() <= 0.065
    assert (p.min(axis=1) < 0.05).mean() > 0.3
