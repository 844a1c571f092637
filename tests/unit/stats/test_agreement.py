import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats import inter_rater

from harmless.stats import (
    class_agreement,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    tally,
)

FLEISS = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]
THREE_CODERS = ["·····34121133·3", "1·213343·······", "··21344·21133·4"]
RATINGS = st.integers(2, 4).flatmap(
    lambda raters: st.lists(
        st.lists(st.integers(0, 3), min_size=raters, max_size=raters), min_size=2, max_size=30
    )
)


def ratings_of(lines):
    return np.array([[math.nan if mark == "·" else int(mark) for mark in line] for line in lines]).T


def test_cohens_kappa_gives_the_worked_example():
    assert cohen_kappa([[20, 5], [10, 15]]) == pytest.approx(0.4)


def test_fleiss_kappa_gives_the_worked_example():
    assert fleiss_kappa(FLEISS) == pytest.approx(0.209930, abs=1e-6)


def test_krippendorffs_alpha_gives_the_worked_example():
    assert krippendorff_alpha(tally(ratings_of(THREE_CODERS))) == pytest.approx(0.691358, abs=6e-7)


def test_ac1_stays_high_where_a_rare_class_sinks_kappa():
    counts = np.repeat([[2, 0], [1, 1], [0, 2]], [118, 7, 0], axis=0)
    assert cohen_kappa([[118, 5], [2, 0]]) == pytest.approx(-0.0234, abs=6e-5)
    assert gwet_ac1(counts) == pytest.approx(0.9408, abs=6e-5)


def test_a_tally_counts_each_class_and_leaves_missing_ratings_out():
    assert tally([[1, 1, math.nan], [2, 7, 1]]).tolist() == [[2, 0, 0], [1, 1, 1]]


@given(ratings=RATINGS)
def test_kappas_equal_statsmodels_and_sklearn(ratings):
    array = np.array(ratings)
    if len(np.unique(array)) > 1:
        assert fleiss_kappa(tally(array)) == pytest.approx(inter_rater.fleiss_kappa(tally(array)))
    table = np.zeros((4, 4))
    np.add.at(table, (array[:, 0], array[:, 1]), 1)
    if len(np.unique(array[:, :2])) > 1:
        assert cohen_kappa(table) == pytest.approx(cohen_kappa_score(array[:, 0], array[:, 1]))
        assert cohen_kappa(table) == pytest.approx(inter_rater.cohens_kappa(table).kappa)


def coincidences(ratings):
    """Krippendorff's own way: a matrix of the pairs of classes within each row."""
    matrix = np.zeros((4, 4))
    for row in ratings:
        for i, first in enumerate(row):
            for j, second in enumerate(row):
                if i != j:
                    matrix[first, second] += 1 / (len(row) - 1)
    totals, n = matrix.sum(axis=0), matrix.sum()
    expected = (n**2 - totals @ totals) / (n - 1)
    return 1 - (n - np.trace(matrix)) / expected


@given(rows=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=2, max_size=20))
def test_alpha_equals_the_coincidence_matrix_with_missing_ratings(rows):
    padded = [row + [math.nan] * (4 - len(row)) for row in rows]
    pairable = [row for row in rows if len(row) > 1]
    if len({value for row in pairable for value in row}) > 1:
        assert krippendorff_alpha(tally(padded)) == pytest.approx(coincidences(pairable))


@given(ratings=RATINGS)
def test_no_measure_exceeds_one_and_perfect_agreement_reaches_it(ratings):
    counts, perfect = tally(ratings), tally([[row[0]] * 3 for row in ratings])
    for measure in (fleiss_kappa, krippendorff_alpha, gwet_ac1):
        assert not measure(counts) > 1
        if perfect.shape[1] > 1:
            assert measure(perfect) == pytest.approx(1)


@given(ratings=RATINGS, seed=st.integers(0, 99))
def test_the_order_of_rows_and_raters_does_not_matter(ratings, seed):
    rng, array = np.random.default_rng(seed), np.array(ratings)
    mixed = rng.permutation(rng.permutation(array, axis=0), axis=1)
    for measure in (fleiss_kappa, krippendorff_alpha, gwet_ac1):
        expected = measure(tally(array))
        assert measure(tally(mixed)) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("measure", [fleiss_kappa, krippendorff_alpha, gwet_ac1])
def test_one_class_alone_leaves_agreement_undefined(measure):
    assert math.isnan(measure([[3], [3]]))


def test_no_ratings_leave_agreement_undefined():
    assert math.isnan(cohen_kappa([[0, 0], [0, 0]]))
    assert math.isnan(krippendorff_alpha([[1, 0], [0, 1]]))
    assert math.isnan(gwet_ac1([[1, 0], [0, 1]]))


def test_random_ratings_agree_no_better_than_chance():
    counts = tally(np.random.default_rng(0).integers(0, 3, (4000, 3)))
    for measure in (fleiss_kappa, krippendorff_alpha, gwet_ac1):
        assert measure(counts) == pytest.approx(0, abs=0.02)


def test_class_agreement_is_positive_and_negative_agreement_for_two_raters():
    a, b, c, d = 9, 4, 2, 85
    counts = np.repeat([[0, 2], [1, 1], [2, 0]], [a, b + c, d], axis=0)
    assert class_agreement(counts) == pytest.approx([2 * d / (2 * d + b + c), 2 * a / (2 * a + b + c)])


def test_class_agreement_is_undefined_for_a_class_nobody_chose():
    assert math.isnan(class_agreement([[2, 0], [2, 0]])[1])


@pytest.mark.parametrize(
    "call",
    [
        lambda: cohen_kappa([[1, 2, 3], [1, 2, 3]]),
        lambda: cohen_kappa([[1, -2], [1, 2]]),
        lambda: fleiss_kappa([[3, 0], [1, 1]]),
        lambda: fleiss_kappa([[1, 0], [0, 1]]),
        lambda: krippendorff_alpha([1, 2]),
        lambda: tally([1, 2]),
    ],
)
def test_tables_of_the_wrong_shape_are_refused(call):
    with pytest.raises(ValueError):
        call()
