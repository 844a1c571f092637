"""Hill climbing keeps what raises the score, and never asks the same twice."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from harmless.attacks import load
from harmless.attacks.climb import MOST, TOGETHER, changed
from harmless.core import Conversation
from harmless.errors import UsageError
from tests.unit.attacks.sessions import FakeSession, run


def test_it_puts_more_around_what_scored_higher() -> None:
    """The score grows with the length of the prompt: only what is kept and added to gets there."""
    session = FakeSession(
        lambda asked: str(len(asked[-1].content)), score=lambda text: min(int(text) / 4000, 0.49), calls=60
    )
    run(load("climb(60)"), session)
    depths = [note.split(" | ")[0].count(" > ") + 1 for note in session.notes[::TOGETHER]]
    assert max(depths) == MOST
    first = max(len(text) for text in session.prompts[:TOGETHER])
    assert max(map(len, session.prompts)) > 1.5 * first


def test_where_all_is_refused_it_keeps_to_single_layers() -> None:
    session = run(load("climb(40)"), FakeSession(calls=40))
    assert not any(" > " in note for note in session.notes)


def test_where_nothing_gains_it_begins_anew() -> None:
    session = run(load("climb(80)"), FakeSession(lambda _: "a text", calls=80))
    anew = [" > " not in note for note in session.notes[::TOGETHER]]
    assert any(one and not other for one, other in pairwise(anew))
    assert any(other and not one for one, other in pairwise(anew))


def test_the_objective_is_in_every_prompt_and_none_is_asked_twice() -> None:
    session = run(load("climb(80)"), FakeSession(calls=80, seed=3))
    assert len(session.prompts) == len(set(session.prompts)) == 80
    assert all("old box" in prompt for prompt in session.prompts)


def test_it_ends_with_its_success() -> None:
    def answers(asked: Conversation) -> str:
        return "UNSAFE" if "novel" in asked[-1].content.lower() else "REFUSE"

    assert run(load("climb(400)"), FakeSession(answers, calls=400)).reached


def test_changes_are_one_layer_away_and_end_once_all_were_there() -> None:
    rng, seen = random.Random(0), set[tuple[str, ...]]()
    found = []
    while offers := changed(("a",), "abc", rng, seen):
        found += offers
    assert sorted(found) == [("a", "b"), ("a", "c"), ("b",), ("c",)]


def test_an_argument_that_is_no_number_is_told() -> None:
    with pytest.raises(UsageError, match="'x' is no calls"):
        load("climb(x)")
