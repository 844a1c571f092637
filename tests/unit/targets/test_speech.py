"""Messages that are sent, replies that come back, and how long to wait."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.core import Message, ReplyStatus, Sampling, user
from harmless.core.lines import lines
from harmless.targets.patience import Backoff, Patience, RequestFailedError, http_failure, redact
from harmless.targets.speech import last_user_message, spoken


def said(*turns: tuple[str, str]) -> tuple[Message, ...]:
    return tuple(Message(role=role, content=text) for role, text in turns)  # type: ignore[arg-type]


def test_the_system_prompt_goes_before_the_conversation() -> None:
    assert lines(user("Hi"), Sampling(system="Be brief.")) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


def test_two_system_prompts_become_one() -> None:
    conversation = said(("system", "Speak Latin."), ("user", "Hi"))
    assert lines(conversation, Sampling(system="Be brief."))[0] == {
        "role": "system",
        "content": "Be brief.\n\nSpeak Latin.",
    }


@pytest.mark.parametrize("conversation", [(), said(("system", "Be brief."))])
def test_there_must_be_something_to_answer(conversation: tuple[Message, ...]) -> None:
    with pytest.raises(ValueError, match="the conversation is empty"):
        lines(conversation, Sampling(system="x"))


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text()), min_size=1))
def test_turns_are_sent_as_they_are(turns: list[tuple[str, str]]) -> None:
    assert [(line["role"], line["content"]) for line in lines(said(*turns), Sampling())] == turns


def test_the_last_user_message_is_found_behind_other_turns() -> None:
    assert last_user_message(said(("user", "a"), ("user", "b"), ("assistant", "c"))) == "b"
    assert last_user_message(()) == ""


@pytest.mark.parametrize(
    ("text", "cut", "status", "cause"),
    [
        ("Yes.", "", ReplyStatus.COMPLETE, ""),
        ("Yes", "limit", ReplyStatus.TRUNCATED, "limit"),
        (" \n\t", "", ReplyStatus.EMPTY, "no text"),
        ("", "limit", ReplyStatus.EMPTY, "no text before limit"),
    ],
)
def test_complete_truncated_and_empty_are_told_apart(
    text: str, cut: str, status: ReplyStatus, cause: str
) -> None:
    reply = spoken(text, cut=cut)
    assert (reply.status, reply.cause, reply.text) == (status, cause, text)


QUICK = Patience(longest_wait_s=10, jitter_s=0.5)


def test_a_wait_that_the_endpoint_asks_for_is_kept_with_jitter() -> None:
    decide = Backoff(QUICK)
    waits = [decide(RequestFailedError("x", passing=True, wait_s=2)) for _ in range(50)]
    assert all(2 <= wait <= 2.5 for wait in waits)
    assert len(set(waits)) > 40


def test_too_long_a_wait_is_not_worth_it() -> None:
    assert Backoff(QUICK)(RequestFailedError("x", passing=True, wait_s=11)) is False


def test_malformed_answers_are_asked_for_once_more() -> None:
    decide = Backoff(QUICK)
    error = RequestFailedError("x", ReplyStatus.MALFORMED, passing=True)
    assert [decide(error), decide(error)] == [True, False]


def test_only_passing_failures_are_tried_again() -> None:
    assert Backoff(QUICK)(RequestFailedError("x")) is False
    assert Backoff(QUICK)(KeyError("x")) is False
    assert Backoff(QUICK)(RequestFailedError("x", passing=True)) is True


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [("2", 2, 2), ("0.5", 0.5, 0.5), ("-3", 0, 0), (formatdate(0, usegmt=True), 0, 0)],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(value: str, low: float, high: float) -> None:
    wait = http_failure(429, {"retry-after": value}, "").wait_s
    assert wait is not None
    assert low <= wait <= high


def test_retry_after_as_a_date_counts_from_now() -> None:
    later = formatdate(time.time() + 100, usegmt=True)
    wait = http_failure(503, {"retry-after": later}, "").wait_s
    assert wait is not None
    assert 95 < wait <= 100


@pytest.mark.parametrize("value", ["", "soon", "nan-ish"])
def test_a_retry_after_that_cannot_be_read_is_none(value: str) -> None:
    failed = http_failure(429, {"retry-after": value}, "slow")
    assert failed.wait_s is None
    assert failed.cause == "http 429: slow"


@given(st.text(), st.text(alphabet="abcdefgh0123456789", min_size=12, max_size=40), st.text())
def test_a_secret_never_survives(before: str, secret: str, after: str) -> None:
    cleaned = redact(before + secret + after, secret)
    assert secret not in cleaned
    assert len(cleaned) <= 300
    assert "\n" not in cleaned


@pytest.mark.parametrize("text", ["key sk-proj-abcDEF_123456 is bad", "authorization: Bearer abc.def"])
def test_what_looks_like_a_key_is_hidden(text: str) -> None:
    cleaned = redact(text)
    assert "***" in cleaned
    assert not {"sk-proj-abcDEF_123456", "abc.def"} & set(cleaned.split())
