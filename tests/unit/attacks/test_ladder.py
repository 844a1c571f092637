"""The ladder goes from words of the objective to the objective, on from the better reply."""

from __future__ import annotations

from harmless.attacks import load
from harmless.attacks.ladder import WAYS
from harmless.core import Conversation
from tests.unit.attacks.sessions import FakeSession, run


def test_it_begins_with_words_and_ends_with_the_objective() -> None:
    session = run(load("ladder(8)"), FakeSession(lambda asked: f"a text of {len(asked)}"))
    assert [len(asked) for asked in session.asked] == 8 * [1, 1, 3, 3, 5, 5]
    assert all(
        "open" in asked[0].content and "open the old box" not in asked[0].content for asked in session.asked
    )
    whole = {len(asked) for asked in session.asked if "open the old box" in asked[-1].content}
    assert whole == {5}


def test_it_goes_on_from_the_reply_that_scored_highest() -> None:
    replies = iter(["low", "high", "low", "low", "low", "low"])
    session = run(
        load("ladder(1)"), FakeSession(lambda _: next(replies), score=lambda text: 0.4 * (text == "high"))
    )
    assert all(asked[1].content == "high" for asked in session.asked[2:])
    assert all(asked[0] == session.asked[1][0] for asked in session.asked[2:])


def test_what_was_refused_is_forgotten() -> None:
    def answers(asked: Conversation) -> str:
        return "REFUSE" if len(session.asked) <= WAYS else "a text"

    session = FakeSession(answers)
    run(load("ladder(1)"), session)
    assert [len(asked) for asked in session.asked] == [1, 1, 1, 1, 3, 3]


def test_each_try_takes_other_ways() -> None:
    session = run(load("ladder"), FakeSession())
    assert len(session.asked) == load("ladder").info.calls
    assert len(set(session.prompts)) > len(session.prompts) / 2
