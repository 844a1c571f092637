import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize

from harmless.stats import (
    clopper_pearson,
    detectable_difference,
    detectable_paired_difference,
    mcnemar,
    sample_size_pairs,
    sample_size_two_groups,
    sample_size_zero_events,
    upper_bound,
)

RATES = st.floats(0.01, 0.99)


@pytest.mark.parametrize(
    ("first", "second", "pooled", "continuity"),
    [
        (0.50, 0.40, 388, 408),
        (0.20, 0.10, 199, 219),
        (0.10, 0.05, 435, 474),
        (0.05, 0.02, 588, 653),
        (0.02, 0.01, 2319, 2515),
        (0.01, 0.001, 1059, 1272),
    ],
)
def test_two_groups_give_the_worked_examples(first, second, pooled, continuity):
    assert sample_size_two_groups(first, second) == pooled
    assert sample_size_two_groups(second, first) == pooled
    assert sample_size_two_groups(first, second, method="continuity") == continuity


@pytest.mark.parametrize(("first", "second"), [(0.5, 0.4), (0.1, 0.05), (0.02, 0.01)])
def test_the_arcsine_size_equals_statsmodels(first, second):
    effect = proportion_effectsize(first, second)
    expected = NormalIndPower().solve_power(effect, alpha=0.05, power=0.8)
    assert sample_size_two_groups(first, second, method="arcsine") == int(np.ceil(expected))


@pytest.mark.parametrize(("shares", "pairs"), [((0.10, 0.05), 469), ((0.06, 0.02), 391), ((0.02, 0.06), 391)])
def test_pairs_give_the_worked_examples(shares, pairs):
    assert sample_size_pairs(*shares) == pairs


@pytest.mark.parametrize(("rate", "rows"), [(0.01, 299), (0.005, 598), (0.001, 2995)])
def test_zero_events_give_the_worked_examples_and_no_row_too_many(rate, rows):
    assert sample_size_zero_events(rate) == rows
    assert upper_bound(0, rows) <= rate < upper_bound(0, rows - 1)
    assert clopper_pearson(0, rows).high > rate


def test_a_test_on_that_many_rows_has_the_power_asked_for():
    rng, n = np.random.default_rng(8), sample_size_two_groups(0.2, 0.1)
    a, b = (rng.binomial(n, rate, 20_000) / n for rate in (0.2, 0.1))
    pooled = (a + b) / 2
    z = (a - b) / np.sqrt(pooled * (1 - pooled) * 2 / n)
    assert (np.abs(z) > 1.959964).mean() == pytest.approx(0.8, abs=0.02)


def test_mcnemar_on_that_many_pairs_has_the_power_asked_for():
    rng, n = np.random.default_rng(8), sample_size_pairs(0.10, 0.05)
    counts = rng.multinomial(n, [0.10, 0.05, 0.85], 2000)
    found = [mcnemar(int(b), int(c), n).mid_p < 0.05 for b, c, _ in counts]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


@given(rate=RATES, n=st.integers(2, 10_000), increase=st.booleans())
def test_the_detectable_difference_inverts_the_sample_size(rate, n, increase):
    found = detectable_difference(rate, n, increase=increase)
    room = 1 - rate if increase else rate
    sign = 1 if increase else -1
    if found is None:
        assert sample_size_two_groups(rate, round(rate + sign * room)) > n
    else:
        assert 0 < found <= room
        assert sample_size_two_groups(rate, min(max(rate + sign * found, 0), 1)) <= n
        assert sample_size_two_groups(rate, rate + sign * found * 0.99) >= n


@given(discordant=st.floats(0.01, 1), n=st.integers(2, 10_000))
def test_the_detectable_paired_difference_inverts_the_number_of_pairs(discordant, n):
    found = detectable_paired_difference(discordant, n)
    if found is None:
        assert sample_size_pairs(discordant, 0) > n
    else:
        shares = (discordant + found) / 2, (discordant - found) / 2
        assert 0 < found <= discordant
        assert sample_size_pairs(*shares) <= n
        fewer = found * 0.99
        assert sample_size_pairs((discordant + fewer) / 2, (discordant - fewer) / 2) >= n


def test_pairing_detects_less_than_two_groups_where_most_pairs_agree():
    paired, unpaired = detectable_paired_difference(0.06, 400), detectable_difference(0.1, 400)
    assert paired < unpaired


def test_a_rate_too_low_for_so_few_rows_has_no_detectable_fall():
    assert detectable_difference(0.05, 20) is None
    assert detectable_difference(0, 10**6) is None
    assert detectable_paired_difference(0, 10**6) is None


@given(first=RATES, second=RATES, more=st.floats(0.81, 0.99))
def test_more_power_needs_more_rows(first, second, more):
    if first != second:
        small = sample_size_two_groups(first, second)
        assert sample_size_two_groups(first, second, power=more) >= small


@pytest.mark.parametrize(
    "call",
    [
        lambda: sample_size_two_groups(0.1, 0.1),
        lambda: sample_size_two_groups(0.1, 1.2),
        lambda: sample_size_two_groups(0.1, 0.2, alpha=0),
        lambda: sample_size_two_groups(0.1, 0.2, power=1),
        lambda: sample_size_pairs(0.1, 0.1),
        lambda: sample_size_pairs(0.6, 0.5),
        lambda: sample_size_zero_events(0),
        lambda: sample_size_zero_events(0.01, 1),
        lambda: detectable_difference(-0.1, 10),
        lambda: detectable_paired_difference(1.1, 10),
    ],
)
def test_questions_without_an_answer_are_refused(call):
    with pytest.raises(ValueError):
        call()
