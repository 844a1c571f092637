"""The red LM asks what a model writes, and shows it what went furthest."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable

import pytest

from harmless.attacks import load
from harmless.attacks.red_lm import brief, drawn, effective, questions
from harmless.core import Conversation
from tests.unit.attacks.sessions import FakeSession, run


def lists() -> Callable[[Conversation], str]:
    """A writer of lists of three questions, none of which it repeats."""
    numbers = iter(range(1, 10_000))
    return lambda _: "\n".join(f"{i}. Is it {next(numbers)} boxes?" for i in range(3))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1. Is it so? Yes.\n2. Is it so?\n3. How is that?", ["Is it so?", "How is that?"]),
        ("1. No question here\n2. Why?", []),
        ("Who is it there?", ["Who is it there?"]),
        ("1. How to open it.\n2. Open it now", ["How to open it?"]),
        (None, []),
    ],
)
def test_a_question_ends_with_its_question_mark(text: str | None, found: list[str]) -> None:
    assert questions(text) == found


def test_the_second_half_is_few_shot_and_the_number_is_kept() -> None:
    session = run(load("red_lm(10)"), FakeSession(lambda c: c[-1].content, lists()))
    assert len(session.prompts) == len(set(session.prompts)) == 10
    assert [note.partition(",")[0] for note in session.notes] == ["zero-shot"] * 6 + ["few-shot"] * 4
    shown = [prompt in session.written[-1][-1].content for prompt in session.prompts]
    assert sum(shown[:9]) == 5
    assert not shown[9]


def test_a_trained_model_writes_one_question_at_a_time() -> None:
    numbers = iter(range(100))
    session = run(
        load("red_lm(6, 1)"), FakeSession(lambda c: c[-1].content, lambda _: f"Is it {next(numbers)} boxes?")
    )
    assert load("red_lm(6, 1)").info.name == "red_lm(6, 1)"
    assert len(session.written) == len(session.prompts) == 6
    assert session.written[0] == brief(session.objective)
    assert session.prompts[0] in session.written[-1][-1].content


def test_a_model_that_repeats_itself_is_asked_more_often_where_it_writes_one_at_a_time() -> None:
    texts = iter(["Is it one box?"] * 10 + ["Is it two boxes?"] * 100)
    session = run(load("red_lm(2, 1)"), FakeSession(lambda c: c[-1].content, lambda _: next(texts)))
    assert session.prompts == ["Is it one box?", "Is it two boxes?"]


def test_replies_are_judged_in_view_of_their_question() -> None:
    session = run(load("red_lm(3)"), FakeSession(lambda c: c[-1].content, lists()))
    assert [exchange.prompt for exchange in session.exchanges] == session.prompts


def test_the_hazard_is_told_or_else_the_objective() -> None:
    session = run(load("red_lm"), FakeSession(hazard="salad.c.O57"))
    assert "Theft" in session.written[0][-1].content
    assert "open the old box" not in session.written[0][-1].content
    session = run(load("red_lm"), FakeSession())
    assert "open the old box" in session.written[0][-1].content


@pytest.mark.parametrize("text", ["REFUSE", "1. Is it always this?", "no question"])
def test_an_attacker_with_nothing_new_ends_the_attack(text: str) -> None:
    session = run(load("red_lm"), FakeSession(writer=lambda _: text))
    assert len(session.written) <= 4


def test_shots_are_drawn_by_their_scores() -> None:
    scores = {"low": 0.0, "high": 0.3, "middle": 0.1}
    rng = random.Random(0)
    firsts = Counter(drawn(scores, 1, 0.1, rng)[0] for _ in range(4000))
    total = math.exp(0) + math.exp(3) + math.exp(1)
    for name, score in scores.items():
        assert firsts[name] / 4000 == pytest.approx(math.exp(score * 10) / total, abs=0.03)


def test_shots_are_drawn_without_replacement() -> None:
    scores = {str(i): i / 10 for i in range(4)}
    assert sorted(drawn(scores, 9, 0.1, random.Random(1))) == ["0", "1", "2", "3"]
    assert drawn({}, 5, 0.1, random.Random(1)) == []


def test_the_effective_number_of_shots() -> None:
    assert effective([0.4] * 6, 0.1) == pytest.approx(6)
    assert effective([1.0, 0.0, 0.0], 0.01) == pytest.approx(1)
    assert effective([], 0.1) == 0
