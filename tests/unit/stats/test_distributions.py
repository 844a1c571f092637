import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from harmless.stats.distributions import (
    beta_cdf,
    beta_quantile,
    binomial_cdf,
    binomial_pmf,
    normal_quantile,
    t_quantile,
    two_sided_z,
)

SHAPES = st.floats(0.5, 1e5)
PROBABILITIES = st.floats(0.001, 0.999)


def test_the_95_percent_z_is_1_959964():
    assert two_sided_z(0.95) == pytest.approx(1.959964, abs=5e-7)


@pytest.mark.parametrize("confidence", [0, 1, -0.1, 95])
def test_a_confidence_outside_0_and_1_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        two_sided_z(confidence)


@given(p=PROBABILITIES)
def test_normal_quantiles_equal_scipys(p):
    assert normal_quantile(p) == pytest.approx(scipy_stats.norm.ppf(p), abs=1e-9)


@given(p=PROBABILITIES, a=SHAPES, b=SHAPES)
def test_beta_quantiles_equal_scipys(p, a, b):
    assert beta_quantile(p, a, b) == pytest.approx(scipy_stats.beta.ppf(p, a, b), abs=1e-9)


@given(x=PROBABILITIES, a=SHAPES, b=SHAPES)
def test_the_beta_distribution_equals_scipys(x, a, b):
    assert beta_cdf(x, a, b) == pytest.approx(scipy_stats.beta.cdf(x, a, b), abs=1e-9)


def test_the_ends_of_the_beta_distribution_are_exact():
    assert [beta_cdf(x, 2, 3) for x in (-1, 0, 1, 2)] == [0, 0, 1, 1]
    assert [beta_quantile(p, 2, 3) for p in (0, 1)] == [0, 1]


def test_a_beta_shape_of_zero_is_refused():
    with pytest.raises(ValueError, match="positive"):
        beta_cdf(0.5, 0, 1)


@given(p=PROBABILITIES, degrees=st.floats(1, 1e4))
def test_t_quantiles_equal_scipys(p, degrees):
    assert t_quantile(p, degrees) == pytest.approx(scipy_stats.t.ppf(p, degrees), rel=1e-7, abs=1e-9)


def test_the_median_of_student_t_is_zero():
    assert t_quantile(0.5, 3) == 0


@given(n=st.integers(1, 2000), p=st.floats(0.01, 0.99), data=st.data())
def test_binomial_tails_equal_scipys(n, p, data):
    k = data.draw(st.integers(-1, n + 1))
    assert binomial_cdf(k, n, p) == pytest.approx(scipy_stats.binom.cdf(k, n, p), abs=1e-10)
    assert binomial_pmf(k, n, p) == pytest.approx(scipy_stats.binom.pmf(k, n, p), abs=1e-10)


def test_counts_that_cannot_be_have_no_chance():
    assert binomial_pmf(-1, 5, 0.5) == binomial_pmf(6, 5, 0.5) == binomial_cdf(-1, 5, 0.5) == 0
    assert binomial_cdf(5, 5, 0.5) == 1
