import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from harmless.stats import auroc, average_precision, recall_at_fpr, threshold_at_fpr

# Few distinct scores, so that ties are common.
ROWS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 1)), min_size=2, max_size=60).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


def columns(rows):
    scores, labels = zip(*rows, strict=True)
    return np.array(scores) / 8, np.array(labels)


@given(rows=ROWS)
def test_areas_equal_sklearns_with_ties(rows):
    scores, labels = columns(rows)
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores))


@given(rows=ROWS, rate=st.sampled_from([0, 0.01, 0.05, 0.1, 0.5, 1]))
def test_recall_equals_the_highest_of_sklearns_curve_at_that_rate(rows, rate):
    scores, labels = columns(rows)
    alarms, recall, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert recall_at_fpr(scores, labels, rate) == pytest.approx(recall[alarms <= rate + 1e-12].max())


@given(rows=ROWS, rate=st.floats(0, 1))
def test_the_threshold_keeps_the_rate_and_the_next_lower_score_would_not(rows, rate):
    scores, labels = columns(rows)
    threshold = threshold_at_fpr(scores, labels, rate)
    clean = scores[labels == 0]
    assert (clean >= threshold).mean() <= rate + 1e-9
    lower = scores[scores < threshold]
    if len(lower):
        assert (clean >= lower.max()).mean() > rate


@given(rows=ROWS, rate=st.floats(0, 1))
def test_recall_is_what_the_threshold_flags(rows, rate):
    scores, labels = columns(rows)
    flagged = scores[labels == 1] >= threshold_at_fpr(scores, labels, rate)
    assert recall_at_fpr(scores, labels, rate) == pytest.approx(flagged.mean())


@given(rows=ROWS)
def test_only_the_order_of_scores_matters(rows):
    scores, labels = columns(rows)
    assert auroc(np.exp(scores), labels) == pytest.approx(auroc(scores, labels))
    assert auroc(-scores, labels) == pytest.approx(1 - auroc(scores, labels))


def test_thresholds_of_a_worked_example():
    scores, labels = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 0, 1, 1, 0, 0]
    assert auroc(scores, labels) == pytest.approx(7 / 9)
    assert threshold_at_fpr(scores, labels, 0) == 0.9
    assert threshold_at_fpr(scores, labels, 1 / 3) == 0.6
    assert recall_at_fpr(scores, labels, 1 / 3) == 1
    assert recall_at_fpr(scores, labels, 0.3) == pytest.approx(1 / 3)


def test_no_threshold_is_high_enough_when_a_clean_row_ranks_first():
    assert threshold_at_fpr([0.9, 0.5], [0, 1], 0) == math.inf
    assert recall_at_fpr([0.9, 0.5], [0, 1], 0) == 0


@pytest.mark.parametrize(("labels", "defined"), [([1, 1], average_precision), ([0, 0], None), ([], None)])
def test_an_absent_class_leaves_a_measure_undefined(labels, defined):
    scores = [0.3, 0.4][: len(labels)]
    assert math.isnan(auroc(scores, labels))
    assert math.isnan(recall_at_fpr(scores, labels, 0.1))
    assert math.isnan(average_precision(scores, labels)) == (defined is None)


def test_a_threshold_needs_rows_without_event_only():
    assert math.isnan(threshold_at_fpr([0.5], [1], 0.1))
    assert threshold_at_fpr([0.1, 0.2, 0.3], [0, 0, 0], 0.4) == 0.3


@pytest.mark.parametrize("measure", [auroc, average_precision])
@pytest.mark.parametrize("arguments", [([math.nan], [1]), ([0.5], [2]), ([0.5, 0.1], [1]), ([[0.5]], [[1]])])
def test_scores_and_labels_of_the_wrong_kind_are_refused(measure, arguments):
    with pytest.raises(ValueError):
        measure(*arguments)


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_false_positive_rate_outside_0_and_1_is_refused(rate):
    with pytest.raises(ValueError, match="false positive rate"):
        threshold_at_fpr([0.1, 0.2], [0, 1], rate)


def test_a_million_scores_are_ranked_quickly_enough_to_bootstrap():
    rng = np.random.default_rng(0)
    labels = rng.random(1_000_000) < 0.3
    scores = rng.normal(size=1_000_000) + labels
    assert auroc(scores, labels) == pytest.approx(0.760, abs=0.002)
