import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from harmless.stats import brier_score, calibration_error, reliability

TEN = [0.95, 0.85, 0.85, 0.65, 0.55, 0.45, 0.35, 0.25, 0.15, 0.05]
OUTCOMES = [1, 1, 0, 1, 0, 1, 0, 0, 0, 0]
ROWS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=60)


def test_error_and_brier_score_give_the_worked_example():
    assert calibration_error(TEN, OUTCOMES) == pytest.approx(0.300)
    assert brier_score(TEN, OUTCOMES) == pytest.approx(0.1685)


@given(rows=ROWS)
def test_the_brier_score_equals_sklearns(rows):
    p, y = zip(*rows, strict=True)
    assert brier_score(p, y) == pytest.approx(brier_score_loss(y, p))


@pytest.mark.parametrize(("equal_mass", "strategy"), [(False, "uniform"), (True, "quantile")])
def test_bins_equal_sklearns(equal_mass, strategy):
    rng = np.random.default_rng(6)
    p = rng.random(500) ** 2
    y = (rng.random(500) < p).astype(int)
    found = reliability(p, y, bins=8, equal_mass=equal_mass)
    observed, predicted = calibration_curve(y, p, n_bins=8, strategy=strategy)
    assert found.observed == pytest.approx(observed)
    assert found.predicted == pytest.approx(predicted)


@given(rows=ROWS, bins=st.integers(1, 20), equal_mass=st.booleans())
def test_every_row_is_in_one_bin_and_the_error_is_a_share(rows, bins, equal_mass):
    p, y = zip(*rows, strict=True)
    found = reliability(p, y, bins=bins, equal_mass=equal_mass)
    assert found.count.sum() == len(rows)
    assert (found.count > 0).all()
    assert len(found.count) <= bins
    assert found.count @ found.predicted == pytest.approx(sum(p))
    assert found.count @ found.observed == pytest.approx(sum(y))
    assert 0 <= found.error <= 1


def test_bins_of_equal_mass_hold_equally_many_rows():
    p = np.random.default_rng(2).random(1000) ** 4
    found = reliability(p, p > 0.5, bins=10, equal_mass=True)
    assert found.count.tolist() == [100] * 10


def test_equal_probabilities_are_never_split_between_bins():
    found = reliability([0.2] * 50 + [0.9] * 50, [0, 1] * 50, bins=7, equal_mass=True)
    assert found.predicted == pytest.approx([0.2, 0.9])


def test_probabilities_that_mean_what_they_say_have_a_small_error():
    rng = np.random.default_rng(9)
    p = rng.random(50_000)
    y = rng.random(50_000) < p
    assert calibration_error(p, y) < 0.01
    assert calibration_error(p**2, y) > 0.1


def test_one_bin_compares_the_means():
    assert calibration_error([0.2, 0.4], [1, 1], bins=1) == pytest.approx(0.7)


@pytest.mark.parametrize("equal_mass", [False, True])
def test_no_rows_have_no_calibration(equal_mass):
    assert math.isnan(calibration_error([], [], equal_mass=equal_mass))
    assert math.isnan(brier_score([], []))


@pytest.mark.parametrize(
    "arguments", [([1.2], [1]), ([math.nan], [1]), ([0.5], [2]), ([0.5, 0.5], [1]), ([[0.5]], [[1]])]
)
def test_what_is_no_probability_or_outcome_is_refused(arguments):
    with pytest.raises(ValueError):
        brier_score(*arguments)


def test_a_diagram_without_bins_is_refused():
    with pytest.raises(ValueError, match="bins"):
        reliability([0.5], [1], bins=0)
