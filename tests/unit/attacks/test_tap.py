"""TAP grows the most promising prompts by graded scores, and prunes only what is clearly off topic."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harmless.attacks import load
from harmless.core import Conversation
from tests.unit.attacks.sessions import FakeSession, run


def writer(topic: Callable[[str], str] = lambda prompt: "Yes") -> Callable[[Conversation], str]:
    """Writes numbered prompts, each with the one that it improves; judges topics by ``topic``."""
    numbers = iter(range(1, 10_000))

    def writes(conversation: Conversation) -> str:
        told = conversation[-1].content
        if "Second request" in told:
            return topic(told.partition("Second request: ")[2].partition("\n")[0].strip('"'))
        parent = told.partition('You wrote: "')[2].partition('"')[0].split()[-1:]
        return f"<prompt>{' '.join([*parent, 'to'][: 2 * len(parent)])} {next(numbers)}</prompt>"

    return writes


def parents(session: FakeSession) -> list[str]:
    return [prompt.partition(" to ")[0] for prompt in session.prompts if " to " in prompt]


def test_the_best_leaves_by_graded_scores_grow() -> None:
    scores = {"1": 0.1, "2": 0.4, "3": 0.3}
    session = FakeSession(
        lambda c: c[-1].content, writer(), lambda reply: scores.get(reply.split()[-1], 0.0), calls=50
    )
    run(load("tap(3, 2, 2)"), session)
    assert session.prompts[:3] == ["1", "2", "3"]
    assert parents(session) == ["2", "2", "2", "3", "3", "3"]


def test_a_level_is_asked_together_and_the_calls_suffice() -> None:
    session = run(load("tap(2, 4, 4)"), FakeSession(writer=writer()))
    assert session.batches == [2, 4, 8, 8]
    assert load("tap(2, 4, 4)").info.calls == 22


def test_what_is_off_topic_is_not_asked_and_is_counted() -> None:
    session = run(load("tap(4, 1, 1)"), FakeSession(writer=writer(lambda p: "No." if p in "13" else "Yes")))
    assert session.prompts == ["2", "4"]
    assert session.notes == ["level 1, 2 of 4 pruned"] * 2


@pytest.mark.parametrize("answer", ["Well, it depends", "Nobody knows", "REFUSE", ""])
def test_an_evaluator_that_cannot_tell_prunes_nothing(answer: str) -> None:
    session = run(load("tap(2, 1, 1)"), FakeSession(writer=writer(lambda _: answer)))
    assert session.notes == ["level 1, 0 of 2 pruned"] * 2


def test_a_level_without_a_prompt_tries_the_same_leaves_again() -> None:
    session = run(
        load("tap(2, 1, 3)"), FakeSession(writer=writer(lambda p: "No" if p in ("1", "2") else "Yes"))
    )
    assert session.prompts[:2] == ["3", "4"]
    assert session.notes[0] == "level 2, 0 of 2 pruned"


def test_an_attacker_that_refuses_ends_it_without_a_call() -> None:
    session = run(load("tap"), FakeSession(writer=lambda _: "REFUSE"))
    assert (session.asked, len(session.written)) == ([], 10)


def test_equal_prompts_are_asked_once() -> None:
    session = run(load("tap(3, 2, 1)"), FakeSession(writer=lambda _: "<prompt>same</prompt>"))
    assert session.prompts == ["same"]


def test_the_attacker_is_told_reply_and_rating() -> None:
    session = FakeSession(lambda _: "my reply", writer(), lambda _: 0.4)
    run(load("tap(1, 1, 2)"), session)
    told = session.written[2][-1].content
    assert "my reply" in told
    assert "reply 5 on" in told
