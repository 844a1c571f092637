"""Scores become probabilities, and thresholds keep to a false-positive rate."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmless.core import Outcome
from harmless.errors import BadFileError, UsageError
from harmless.guards.calibrated import Calibrated, calibrated
from harmless.guards.calibration import Calibration, fit_calibration
from harmless.guards.parts import Part
from harmless.guards.thresholds import choose_threshold, choose_thresholds
from harmless.stats import calibration_error
from tests.unit.guards import test_combinators
from tests.unit.guards.combining import Told, asked

told = test_combinators.told  # a fixture
INFO = Told(0).info
METHODS = ["isotonic", "platt"]


def sample(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores s whose rows are unsafe with probability s squared: overconfident."""
    rng = np.random.default_rng(seed)
    scores = rng.random(n)
    return scores, (rng.random(n) < scores**2).astype(int)


labelled = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=4, max_size=40).filter(
    lambda rows: 2 <= sum(y for _, y in rows) <= len(rows) - 2
)


@pytest.mark.parametrize("method", METHODS)
def test_calibration_removes_most_of_the_calibration_error(method: str) -> None:
    fitted = fit_calibration(*sample(4000), INFO, method)  # type: ignore[arg-type]
    scores, labels = sample(4000, seed=1)
    assert calibration_error(scores, labels) > 0.14
    assert calibration_error(fitted(scores), labels) < 0.04


@settings(deadline=None)
@given(rows=labelled)
def test_isotonic_is_what_sklearn_fits(rows: list[tuple[int, bool]]) -> None:
    isotonic = pytest.importorskip("sklearn.isotonic", reason="needs scikit-learn as an oracle")
    x, y = np.array([k / 12 for k, _ in rows]), np.array([int(unsafe) for _, unsafe in rows])
    oracle = isotonic.IsotonicRegression(out_of_bounds="clip").fit(x, y)
    grid = np.linspace(0, 1, 49)
    np.testing.assert_allclose(fit_calibration(x, y, INFO)(grid), oracle.predict(grid), atol=1e-6)


def test_platt_is_the_logistic_regression_on_smoothed_targets() -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="needs scipy as an oracle")
    x, y = sample(300)
    target = np.where(y == 1, (y.sum() + 1) / (y.sum() + 2), 1 / (len(y) - y.sum() + 2))

    def loss(w: np.ndarray) -> float:
        z = w[0] * x + w[1]
        return float((np.logaddexp(0, z) - target * z).sum())

    slope, offset = optimize.minimize(loss, [0.0, 0.0], method="BFGS").x
    knots = np.linspace(0, 1, 65)  # between these it is interpolated
    expected = 1 / (1 + np.exp(-(slope * knots + offset)))
    np.testing.assert_allclose(fit_calibration(x, y, INFO, "platt")(knots), expected, atol=1e-4)


@settings(deadline=None)
@given(rows=labelled, method=st.sampled_from(METHODS))
def test_a_calibration_never_reverses_a_ranking(rows: list[tuple[int, bool]], method: str) -> None:
    fitted = fit_calibration([k / 12 for k, _ in rows], [int(y) for _, y in rows], INFO, method)  # type: ignore[arg-type]
    found = fitted(np.linspace(0, 1, 101))
    assert (np.diff(found) >= -1e-12).all()
    assert ((found >= 0) & (found <= 1)).all()


def test_platt_survives_classes_that_are_apart() -> None:
    fitted = fit_calibration([0.1] * 50 + [0.9] * 50, [0] * 50 + [1] * 50, INFO, "platt")
    assert fitted(0.1) == pytest.approx(1 / 52, abs=1e-3)
    assert fitted(0.9) == pytest.approx(51 / 52, abs=1e-3)


@pytest.mark.parametrize(
    ("scores", "labels"), [([0.1, 0.2], [0, 1]), ([0.1] * 4, [0, 0, 1]), ([0.1] * 4, [0, 0, 2, 1])]
)
def test_what_cannot_be_fitted_is_refused(scores: list[float], labels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"too few|one label"):
        fit_calibration(scores, labels, INFO)


def test_a_calibration_is_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    fitted = fit_calibration(*sample(500), INFO)
    fitted.write(tmp_path / "c.json")
    assert Calibration.read(tmp_path / "c.json") == fitted
    assert (fitted.unsafe, fitted.safe) == (int(sample(500)[1].sum()), 500 - int(sample(500)[1].sum()))


@pytest.mark.parametrize(
    "change",
    [{"scores": [1, 0]}, {"probabilities": [1, 0]}, {"probabilities": [0, 2]}, {"scores": []}, {"method": "x"}],
)
def test_a_file_that_is_no_calibration_says_so(tmp_path: Path, change: dict[str, object]) -> None:
    fitted = fit_calibration([0, 0, 1, 1], [0, 0, 1, 1], INFO)
    path = tmp_path / "c.json"
    path.write_text(json.dumps(fitted.model_dump() | change))
    with pytest.raises(BadFileError, match=r"c\.json: No calibration"):
        Calibration.read(path)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="harmless guard calibrate"):
        Calibration.read(tmp_path / "none.json")


def test_a_calibrated_guard_is_unsafe_where_the_probability_is_at_least_a_half() -> None:
    guard = Calibrated(Part(Told(0)), fit_calibration(*sample(4000), INFO))
    verdicts = anyio.run(guard.judge, asked("0.6", "0.8", "?", "!"))
    assert [v.outcome for v in verdicts] == [
        Outcome.SAFE,
        Outcome.UNSAFE,
        Outcome.UNASSESSED,
        Outcome.UNASSESSED,
    ]
    assert verdicts[0].score == pytest.approx(0.36, abs=0.05)
    assert verdicts[0].findings[0].rule == "r0"
    assert guard.info.name == "calibrated(g0)"


def test_the_revision_of_a_calibrated_guard_changes_with_the_calibration() -> None:
    one, other = (Calibrated(Part(Told(0)), fit_calibration(*sample(n), INFO)) for n in (100, 101))
    assert one.info.revision != other.info.revision


def test_a_calibration_of_another_revision_is_refused(tmp_path: Path, told: None) -> None:
    fit_calibration(*sample(100), INFO).write(tmp_path / "c.json")
    assert calibrated("g0", str(tmp_path / "c.json")).info.hazards == INFO.hazards
    fit_calibration(*sample(100), Told(0, threshold=0.4).info).write(tmp_path / "other.json")
    with pytest.raises(BadFileError, match="another revision of g0"):
        calibrated("g0", str(tmp_path / "other.json"))


# Thresholds


@settings(deadline=None)
@given(
    scores=st.lists(st.integers(0, 19).map(lambda k: k / 20), min_size=1, max_size=60),
    fpr=st.integers(0, 20).map(lambda k: k / 20),
)
def test_a_threshold_keeps_the_rate_and_the_next_lower_score_would_not(scores: list[float], fpr: float) -> None:
    chosen, s = choose_threshold(scores, fpr), np.array(scores)
    assert chosen.flagged == (s >= chosen.value).sum()
    assert chosen.rate <= fpr + 1e-9
    lower = s[s < chosen.value]
    if len(lower):
        assert (s >= lower.max()).mean() > fpr


def test_a_guaranteed_threshold_keeps_the_upper_limit_to_the_rate() -> None:
    scores = np.random.default_rng(0).random(1000)
    chosen = choose_threshold(scores, 0.05, guaranteed=True)
    assert 0.045 < chosen.upper <= 0.05
    assert choose_threshold(scores, 0.05).upper > 0.05


def test_the_guarantee_holds_in_19_of_20_draws_although_the_threshold_is_chosen_on_them() -> None:
    rng = np.random.default_rng(0)
    kept = [1 - choose_threshold(rng.random(300), 0.05, guaranteed=True).value <= 0.05 for _ in range(400)]
    assert np.mean(kept) >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize(("fpr", "rows"), [(0.01, 299), (0.05, 59)])
def test_too_few_rows_for_a_guarantee_say_how_many_are_needed(fpr: float, rows: int) -> None:
    with pytest.raises(UsageError, match=f"Give {rows}"):
        choose_threshold([0.1] * (rows - 1), fpr, guaranteed=True)
    assert choose_threshold([0.1] * rows, fpr, guaranteed=True).flagged == 0


def test_rows_that_score_one_may_leave_no_threshold() -> None:
    with pytest.raises(UsageError, match="2 of 4 benign rows score 1"):
        choose_threshold([1.0, 1.0, 0.1, 0.2], 0.25)


@pytest.mark.parametrize("scores", [[], [float("nan")], [1.5], [[0.1]]])
def test_scores_that_are_none_are_refused(scores: list[object]) -> None:
    with pytest.raises(UsageError, match="benign rows"):
        choose_threshold(scores, 0.1)  # type: ignore[arg-type]


def test_each_guard_gets_a_threshold_as_a_policy_holds_it() -> None:
    chosen = choose_thresholds({"a": [0.1, 0.2, 0.3, 0.4], "b": [0.5, 0.6, 0.7, 0.8]}, 0.25)
    assert {name: each.rule.threshold for name, each in chosen.items()} == {"a": 0.4, "b": 0.8}
    assert str(chosen["a"]).startswith("0.4: 1 of 4 benign rows flagged (25.00%), at most 75.14%")
