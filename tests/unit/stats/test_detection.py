"""Measures of a detector agree with scikit-learn and with our own measures, plain and weighted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless import stats
from harmless.stats.detection import NAMES, cluster_weights, detection

metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle")


def example(seed: int, n: int = 300, grain: int = 40) -> tuple[Any, Any, Any]:
    """Scores with ties, decisions at 0.6 and labels that the scores know something of."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    scores = np.round(np.clip(rng.normal(0.4 + 0.25 * labels, 0.2), 0, 1) * grain) / grain
    return scores, (scores >= 0.6).astype(int), labels


@pytest.mark.parametrize("seed", range(5))
def test_measures_are_those_of_sklearn(seed: int) -> None:
    scores, flags, labels = example(seed)
    found = {name: values[0] for name, values in detection(scores, flags, labels).items()}
    assert set(found) == set(NAMES)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, flags))
    assert found["precision"] == pytest.approx(metrics.precision_score(labels, flags))
    assert found["recall"] == pytest.approx(metrics.recall_score(labels, flags))
    assert found["fpr"] == pytest.approx(1 - metrics.recall_score(1 - labels, 1 - flags))
    assert found["f1"] == pytest.approx(metrics.f1_score(labels, flags))
    assert found["auroc"] == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert found["auprc"] == pytest.approx(metrics.average_precision_score(labels, scores))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(labels, scores))


@pytest.mark.parametrize("seed", range(5))
def test_measures_are_those_of_our_other_functions(seed: int) -> None:
    scores, flags, labels = example(seed)
    found = {name: values[0] for name, values in detection(scores, flags, labels).items()}
    assert found["ece"] == pytest.approx(stats.calibration_error(scores, labels))
    for percent in (1, 5):
        expected = stats.recall_at_fpr(scores, labels, percent / 100)
        assert found[f"recall_at_{percent}_fpr"] == pytest.approx(expected)


@given(st.lists(st.integers(0, 3), min_size=12, max_size=12), st.integers(0, 99))
def test_a_weight_is_as_good_as_so_many_copies_of_the_row(times: list[int], seed: int) -> None:
    scores, flags, labels = example(seed, n=12, grain=5)
    weighted = detection(scores, flags, labels, [times])
    rows = np.repeat(np.arange(12), times)
    copied = detection(scores[rows], flags[rows], labels[rows])
    for name in NAMES:
        assert weighted[name][0] == pytest.approx(copied[name][0], nan_ok=True), name


def test_many_weightings_are_as_each_alone() -> None:
    scores, flags, labels = example(1)
    weights = cluster_weights(np.arange(300) // 3, 50, seed=4)
    together = detection(scores, flags, labels, weights)
    for draw in (0, 17, 49):
        alone = detection(scores, flags, labels, weights[draw : draw + 1])
        assert {n: v[draw] for n, v in together.items()} == pytest.approx({n: v[0] for n, v in alone.items()})


def test_what_has_no_denominator_is_nan() -> None:
    only_safe = detection([0.1, 0.2], [0, 0], [0, 0])
    assert all(math.isnan(only_safe[name][0]) for name in ("recall", "auroc", "auprc", "precision", "f1"))
    assert only_safe["fpr"][0] == 0
    assert math.isnan(detection([0.1, 0.8], [0, 1], [0, 0])["f1"][0])
    only_unsafe = detection([0.1, 0.9], [0, 1], [1, 1])
    assert all(math.isnan(only_unsafe[name][0]) for name in ("fpr", "auroc", "recall_at_1_fpr"))
    assert all(math.isnan(values[0]) for values in detection([], [], []).values())


def test_clusters_are_drawn_whole() -> None:
    clusters = np.array(["a", "b", "a", "c", "b"])
    weights = cluster_weights(clusters, 200, seed=1)
    assert weights.shape == (200, 5)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert (weights == cluster_weights(clusters, 200, seed=1)).all()


def test_the_bootstrap_of_the_auroc_is_that_of_cluster_bootstrap() -> None:
    scores, flags, labels = example(2)
    clusters = np.arange(300) // 2
    drawn = detection(scores, flags, labels, cluster_weights(clusters, 2000, seed=3))["auroc"]
    other = stats.cluster_bootstrap(
        lambda rows: stats.auroc(scores[rows], labels[rows]), clusters, resamples=1000, seed=5
    )
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx([other.low, other.high], abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.1], [0, 1], [0]), "each row"),
        (([1.1], [0], [0]), "between 0 and 1"),
        (([0.5], [2], [0]), "0 or 1"),
        (([0.5], [1], [0], [[1, 2]]), "shape"),
    ],
)
def test_rows_that_do_not_fit_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        detection(*arguments)
    with pytest.raises(ValueError, match="at least one row"):
        cluster_weights([], 3)
