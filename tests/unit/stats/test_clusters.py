import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from harmless.stats import (
    auroc,
    binomial,
    cluster_bootstrap,
    clustered_mean,
    clustered_rate,
    design_effect,
)

FOUR = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]
FOUR_LABELS = np.repeat(["a", "b", "c", "d"], 5)
ROWS = st.lists(st.tuples(st.sampled_from([0.0, 1.0, math.nan]), st.integers(0, 6)), min_size=1, max_size=40)


def columns(rows):
    values, labels = zip(*rows, strict=True)
    return np.array(values), np.array(labels)


def draw_clusters(rng, groups, size, rate, icc):
    """Beta-binomial rows, shape (groups * size,), whose intraclass correlation is ``icc``."""
    spread = 1 / icc - 1
    chance = rng.beta(rate * spread, (1 - rate) * spread, groups)
    return (rng.random((groups, size)) < chance[:, None]).astype(float).ravel()


def test_standard_errors_give_the_worked_example():
    found = clustered_mean(FOUR, FOUR_LABELS)
    assert found.mean == pytest.approx(0.30)
    assert (found.naive_se, found.cr0, found.cr1) == pytest.approx((0.102470, 0.165831, 0.191485), abs=6e-7)
    assert found.clusters == 4
    assert found.design_effect == pytest.approx((0.191485 / 0.102470) ** 2, rel=1e-4)


def test_standard_errors_equal_statsmodels_for_clusters_of_any_size():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 12, 200)
    values = rng.normal(size=200) + labels / 3
    found = clustered_mean(values, labels)
    model = sm.OLS(values, np.ones(200))
    for corrected, ours in ((False, found.cr0), (True, found.cr1)):
        options = {"groups": labels, "use_correction": corrected}
        assert ours == pytest.approx(model.fit(cov_type="cluster", cov_kwds=options).bse[0])


def test_the_limits_use_student_t_with_one_degree_less_than_clusters():
    found = clustered_mean(FOUR, FOUR_LABELS)
    assert found.high - found.mean == pytest.approx(3.182446 * found.cr1, rel=1e-6)


def test_independent_rows_have_a_design_effect_of_about_one():
    values = np.random.default_rng(1).normal(size=500)
    assert clustered_mean(values, np.arange(500)).design_effect == pytest.approx(500 / 499)


def test_one_cluster_cannot_bound_a_mean():
    found = clustered_mean([0, 1, 1], ["a", "a", "a"])
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_equal_rows_have_no_design_effect():
    assert math.isnan(clustered_mean([1, 1, 1, 1], [0, 0, 1, 1]).design_effect)


@pytest.mark.parametrize("rows", [([], []), ([1, math.nan], [0, 1]), ([1, 0], [0]), ([[1]], [[0]])])
def test_a_mean_without_rows_or_labels_is_refused(rows):
    with pytest.raises(ValueError):
        clustered_mean(*rows)


def test_the_design_effect_grows_with_cluster_size_and_correlation():
    assert design_effect(1, 0.5) == 1
    assert design_effect(5, 0) == 1
    assert design_effect(5, 0.25) == 2


@given(rows=ROWS)
def test_a_clustered_rate_stays_within_0_and_1_and_has_width(rows):
    found = clustered_rate(*columns(rows))
    assert 0 <= found.low < found.high <= 1
    if found.n:
        assert found.low <= found.rate <= found.high
    assert found.effective_n <= found.n + 1e-9
    assert found.n + found.unassessed == len(rows)


@given(rows=ROWS)
def test_exchanging_events_and_non_events_mirrors_the_clustered_interval(rows):
    values, labels = columns(rows)
    found, mirrored = clustered_rate(values, labels), clustered_rate(1 - values, labels)
    assert (found.low, found.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-9)


@given(events=st.integers(0, 30))
def test_rows_in_clusters_of_their_own_give_the_plain_interval(events):
    values = np.arange(30) < events
    found, plain = clustered_rate(values, np.arange(30)), binomial(events, 30)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))
    assert found.effective_n == 30


@given(events=st.integers(0, 30))
def test_clusters_that_are_all_or_nothing_give_the_interval_of_the_clusters(events):
    values = np.repeat(np.arange(30) < events, 4)
    found, plain = clustered_rate(values, np.repeat(np.arange(30), 4)), binomial(events, 30)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))
    assert found.effective_n == pytest.approx(30)


def test_without_any_event_only_the_clusters_count():
    found = clustered_rate(np.zeros(60), np.repeat(np.arange(20), 3))
    assert found.high == pytest.approx(binomial(0, 20).high)


def test_unassessed_rows_widen_a_clustered_interval_and_leave_the_rate():
    labels = np.repeat(np.arange(20), 3)
    values = np.tile([1.0, 0.0, 0.0], 20)
    holes = np.where(np.arange(60) % 7 == 0, math.nan, values)
    full, holed = clustered_rate(values, labels), clustered_rate(holes, labels)
    assert holed.unassessed == 9
    assert holed.rate == pytest.approx(np.nanmean(holes))
    assert holed.low < full.low
    assert holed.high > full.high


def test_a_rate_with_nothing_assessed_is_unknown():
    found = clustered_rate([math.nan, math.nan], ["a", "b"])
    assert math.isnan(found.rate)
    assert (found.low, found.high, found.effective_n) == (0, 1, 0)
    assert math.isnan(clustered_rate([], []).rate)


def test_a_rate_of_other_values_is_refused():
    with pytest.raises(ValueError, match="1 \\(event\\)"):
        clustered_rate([0.5], ["a"])


@pytest.mark.parametrize(
    ("groups", "size", "rate", "icc"),
    [(12, 4, 0.3, 0.5), (40, 5, 0.1, 0.3), (40, 3, 0.03, 0.6), (150, 5, 0.02, 0.3)],
)
def test_the_clustered_interval_covers_where_the_plain_one_does_not(groups, size, rate, icc):
    rng, labels = np.random.default_rng(11), np.repeat(np.arange(groups), size)
    covered, plain = 0, 0
    for _ in range(500):
        values = draw_clusters(rng, groups, size, rate, icc)
        covered += rate in clustered_rate(values, labels)
        plain += rate in binomial(int(values.sum()), len(values))
    assert covered / 500 >= 0.935
    assert plain / 500 < 0.92


def test_t_limits_cover_a_mean_over_few_clusters():
    rng, labels = np.random.default_rng(2), np.repeat(np.arange(8), 5)
    covered = 0
    for _ in range(1000):
        found = clustered_mean(np.repeat(rng.normal(size=8), 5) + rng.normal(size=40), labels)
        covered += found.low <= 0 <= found.high
    assert covered / 1000 == pytest.approx(0.95, abs=0.02)


def test_the_bootstrap_of_a_mean_agrees_with_the_robust_standard_error():
    rng = np.random.default_rng(4)
    labels, values = np.repeat(np.arange(60), 4), draw_clusters(rng, 60, 4, 0.4, 0.5)
    found = cluster_bootstrap(lambda rows: values[rows].mean(), labels)
    assert found.rate == pytest.approx(values.mean())
    assert found.width == pytest.approx(2 * 1.96 * clustered_mean(values, labels).cr1, rel=0.08)


def test_the_bootstrap_draws_whole_clusters():
    labels, values = np.array(["b", "a", "b", "a"]), np.array([1.0, 2.0, 3.0, 4.0])
    seen = set()
    cluster_bootstrap(lambda rows: seen.add(tuple(values[rows])) or 0.0, labels, resamples=50)
    assert seen == {(1, 2, 3, 4), (2, 4, 2, 4), (1, 3, 1, 3), (2, 4, 1, 3), (1, 3, 2, 4)}


def test_the_bootstrap_repeats_with_the_same_seed():
    values = np.random.default_rng(0).normal(size=30)
    first, again, other = (
        cluster_bootstrap(lambda rows: values[rows].mean(), np.arange(30), resamples=50, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_the_bootstrap_leaves_out_draws_without_one_class():
    scores, labels = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])
    found = cluster_bootstrap(lambda rows: auroc(scores[rows], labels[rows]), np.arange(4), resamples=200)
    assert found.rate == 0.75
    assert 0 <= found.low < found.high <= 1


def test_a_bootstrap_that_is_never_defined_says_so():
    found = cluster_bootstrap(lambda rows: math.nan, [1, 2, 3], resamples=5)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_a_bootstrap_without_rows_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        cluster_bootstrap(lambda rows: 0.0, [])
