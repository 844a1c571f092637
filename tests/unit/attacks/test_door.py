"""A target that blocks, bans or limits is noticed; its notices count neither as refusals nor as replies."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmless.attacks import door
from harmless.attacks.door import Door
from harmless.core import Reply
from harmless.errors import UnreachableError
from harmless.evidence import Store
from tests.doubles import FakeTarget, said
from tests.unit.attacks.test_campaign import Counting, campaign

NOTICE = "Your account has been suspended for a violation of our terms."


@pytest.mark.parametrize(
    "cause", ["http 403: forbidden", "http 429 (retry after 600 s)", "http 401", "http 400: insufficient_quota"]
)
def test_a_target_that_turns_away_is_left_after_a_few_replies(cause: str) -> None:
    at = Door("t", 16)
    for _ in range(door.TURNED_AWAY - 1):
        assert at.passed(Reply.error(cause)).cause == cause
    with pytest.raises(UnreachableError, match="turns you away") as told:
        at.passed(Reply.error(cause))
    assert told.value.exit_code == 3


def test_a_reply_in_between_begins_the_count_anew() -> None:
    at = Door("t", 1)
    for _ in range(10 * door.TURNED_AWAY):
        at.passed(Reply.error("http 429"))
        at.passed(said("hello"))


def test_other_failures_have_more_patience() -> None:
    at = Door("t", 16)
    for _ in range(door.FAILURES + 15):
        at.passed(Reply.error("http 500"))
    with pytest.raises(UnreachableError, match="only fails"):
        at.passed(Reply.error("http 500"))


def test_a_notice_in_an_ordinary_answer_is_an_error_from_the_second_time_on() -> None:
    at = Door("t", 1)
    assert at.passed(said(NOTICE)).has_text
    assert at.passed(said(NOTICE)).cause == f"turned away: {NOTICE}"
    for _ in range(door.TURNED_AWAY - 2):
        at.passed(said(NOTICE))
    with pytest.raises(UnreachableError, match="suspended"):
        at.passed(said(NOTICE))


@pytest.mark.parametrize(
    "text",
    ["I'm sorry, but I can't help with that.", "REFUSE", f"An example of such an e-mail: {'x' * 300} {NOTICE}"],
)
def test_a_target_that_always_says_the_same_is_not_taken_for_one_that_turns_away(text: str) -> None:
    at = Door("t", 1)
    assert all(at.passed(said(text)).has_text for _ in range(50))


def test_a_campaign_pauses_and_later_asks_again_what_was_turned_away(tmp_path: Path) -> None:
    banned = FakeTarget(lambda prompt, _: said(NOTICE) if "try 3" in prompt else said("REFUSE"))
    with Store(tmp_path / "evidence.db") as store:
        with pytest.raises(UnreachableError, match="The run pauses"):
            campaign(store, banned, [Counting(calls=6)], objectives=[f"steal {i}" for i in range(40)])
        run = store.run("latest").id
        assert store.state(run) == "aborted"
        assert "suspended" in store.events(run)[-1][2]
        open_again = FakeTarget(lambda prompt, _: said("UNSAFE" if "try 3" in prompt else "REFUSE"))
        found = campaign(
            store, open_again, [Counting(calls=6)], objectives=[f"steal {i}" for i in range(40)]
        ).attacks[0]
    assert found.unassessed == 0
    assert found.asr.rate is not None
    assert found.asr.rate > 0.9
