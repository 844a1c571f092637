"""Loss and hidden states of replies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harmless.core import user
from harmless.screen import Kind, Lesson, states
from harmless.screen.states import deviations, outliers, read, signature


def test_deviations_are_counted_from_the_median_and_are_zero_where_all_are_alike() -> None:
    assert deviations(np.array([1.0, 2.0, 3.0, 4.0, 100.0])).argmax() == 4
    assert deviations(np.array([1.0, 2.0, 3.0]))[1] == 0
    assert deviations(np.ones(5)).tolist() == [0] * 5


def test_rows_that_share_a_direction_stand_apart_along_it() -> None:
    rng = np.random.default_rng(0)
    found = rng.normal(size=(100, 16))
    found[:5, 3] += 30
    assert set(np.argsort(-np.abs(deviations(signature(found))))[:5]) == set(range(5))


def test_outliers_of_loss_and_states_are_named_among_their_own_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    losses, vectors = rng.normal(2, 0.1, 80), rng.normal(size=(80, 8))
    losses[7], vectors[50] = 9.0, 40.0
    monkeypatch.setattr(states, "read", lambda *_: (losses, vectors))
    lessons = [Lesson(user("x"), " "), *[Lesson(user("x"), "y")] * 80]
    refused = [False] * 41 + [True] * 40
    found = {(row, reason.kind) for row, reason in outliers(lessons, refused, None)}  # type: ignore[arg-type]
    assert found == {(8, Kind.LOSS), (51, Kind.SPECTRAL)}


@pytest.mark.hf
def test_loss_is_that_of_the_replys_tokens_and_does_not_depend_on_the_batch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
    from harmless.internals.chat import encode
    from harmless.internals.model import load
    from tests.tiny import saved

    local = load(str(saved(tmp_path)), "cpu")
    lessons = [Lesson(user("hi"), "hello"), Lesson(user("a longer one"), "no"), Lesson(user("y" * 80), "cut")]
    losses, found = read(local, lessons)
    assert found.shape == (3, local.model.config.hidden_size)
    for i, lesson in enumerate(lessons[:2]):
        encoded = encode(local, lesson.conversation, lesson.reply)
        ids = torch.tensor([encoded.tokens])
        with torch.no_grad():
            logits = local.model(ids).logits[0, encoded.prompt - 1 : -1]
        expected = torch.nn.functional.cross_entropy(logits, ids[0, encoded.prompt :])
        assert losses[i] == pytest.approx(float(expected), rel=1e-4)
        alone, _ = read(local, [lesson])
        assert alone[0] == pytest.approx(losses[i], rel=1e-4)
    assert np.isfinite(losses).all()
