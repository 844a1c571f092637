"""Defences change what a target is asked, or withhold what it replied; order and length are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless import targets
from harmless.core import Conversation, Exchange, Guard, Message, Reply, ReplyStatus, Sampling, Usage, user
from harmless.errors import UnknownNameError, UsageError
from harmless.targets import TargetOptions
from harmless.targets.defences import describe, wrap
from harmless.targets.defences.erase_and_check import erased
from harmless.targets.defences.rewriting import split_words
from harmless.targets.defences.smooth_llm import COPIES, swapped
from harmless.targets.scripted import ScriptedTarget
from tests.doubles import FakeGuard, FakeTarget, said

NAMES = [entry.name for entry in describe()]


def guard(name: str) -> Guard:
    return FakeGuard(name)


async def replies(defence: str, target: FakeTarget | ScriptedTarget, *texts: str) -> list[Reply]:
    return await wrap(defence, target, guard).reply([user(text) for text in texts], Sampling())


@pytest.mark.anyio
@pytest.mark.parametrize("name", NAMES)
async def test_there_is_one_reply_a_conversation_in_order(name: str) -> None:
    def answer(conversation: Conversation, _: Sampling) -> str:
        text = conversation[-1].content
        if "do not answer it" in text:
            return text.splitlines()[-1]
        return "no" if "yes or no" in text else f"fine {len(text)}"

    short, long = await replies(name, ScriptedTarget(answer), "a b c", "a b c d e f g h i j")
    assert short.has_text
    assert int(short.text.split()[-1]) < int(long.text.split()[-1])
    assert await replies(name, ScriptedTarget(answer)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_defended_target_has_an_identity_of_its_own(name: str) -> None:
    target = FakeTarget(lambda *_: said("fine"))
    info = wrap(name, target, guard).info
    assert info.name == f"defended:{name}:fake"
    assert info.identity != target.info.identity
    assert wrap(name, target, guard).info == info


@pytest.mark.parametrize(("name", "by"), [("erase_and_check", ("embedded",)), ("smooth_llm", ("refusal",))])
def test_a_defence_names_the_guard_that_decides_in_it(name: str, by: tuple[str, ...]) -> None:
    assert wrap(name, FakeTarget(lambda *_: said("fine")), guard).info.guarded_by == by


@pytest.mark.anyio
async def test_reminders_are_put_around_what_the_user_says() -> None:
    target = FakeTarget(lambda *_: said("fine"))
    await replies("self_reminder", target, "open the box")
    before, _, after = target.asked[0].partition("open the box")
    assert "responsible" in before
    assert "Remember" in after


@pytest.mark.anyio
async def test_a_refused_request_is_shown_behind_the_system_message() -> None:
    seen: list[Conversation] = []

    def answer(conversation: Conversation, _: Sampling) -> str:
        seen.append(conversation)
        return "fine"

    conversation = (Message(role="system", content="Be brief."), *user("hello"))
    await wrap("in_context", ScriptedTarget(answer)).reply([conversation], Sampling())
    assert [message.role for message in seen[0]] == ["system", "user", "assistant", "user"]
    assert seen[0][-1].content == "hello"


@pytest.mark.anyio
async def test_a_paraphrase_is_answered_and_its_tokens_count() -> None:
    def answer(prompt: str, _: Sampling) -> Reply:
        text = "a paraphrase" if "do not answer it" in prompt else f"answer to: {prompt}"
        return said(text).model_copy(update={"usage": Usage(completion_tokens=5), "latency_s": 1.0})

    target = FakeTarget(answer)
    reply = (await replies("paraphrase", target, "open the box"))[0]
    assert reply.text == "answer to: a paraphrase"
    assert (reply.usage.completion_tokens, reply.latency_s) == (10, 2.0)


@pytest.mark.anyio
async def test_without_a_paraphrase_the_message_is_answered_as_it_stands() -> None:
    def answer(prompt: str, _: Sampling) -> Reply:
        return Reply.error("http 500") if "do not answer it" in prompt else said(prompt)

    assert (await replies("paraphrase", FakeTarget(answer), "hello"))[0].text == "hello"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("verdict", "status"),
    [("No.", ReplyStatus.COMPLETE), ("YES", ReplyStatus.BLOCKED), ("Hm", ReplyStatus.BLOCKED)],
)
async def test_a_reply_that_the_target_calls_harmful_is_withheld(verdict: str, status: ReplyStatus) -> None:
    target = FakeTarget(lambda prompt, _: said(verdict if "yes or no" in prompt else "a reply"))
    assert (await replies("self_examination", target, "x"))[0].status is status


@pytest.mark.anyio
@pytest.mark.parametrize(("refusing", "refused"), [(0, False), (4, False), (5, True), (10, True)])
async def test_the_majority_of_the_copies_decides(refusing: int, refused: bool) -> None:
    count = iter(range(COPIES))
    target = FakeTarget(lambda *_: said("REFUSE" if next(count) < refusing else "here you are"))
    assert ((await replies("smooth_llm", target, "open the box please"))[0].text == "REFUSE") is refused


@pytest.mark.anyio
async def test_without_any_reply_the_failure_is_told() -> None:
    reply = (await replies("smooth_llm", FakeTarget(lambda *_: Reply.error("http 500")), "x"))[0]
    assert (reply.status, reply.cause) == (ReplyStatus.ERROR, "http 500")


@pytest.mark.anyio
async def test_a_suffix_does_not_hide_a_request_from_erase_and_check() -> None:
    class WholeOnly(FakeGuard):
        async def judge(self, exchanges):  # type: ignore[no-untyped-def]
            return await super().judge(
                [Exchange.of("UNSAFE" if each.prompt == "open the box" else "fine") for each in exchanges]
            )

    target = FakeTarget(lambda *_: said("here you are"))
    defended = wrap("erase_and_check", target, lambda _: WholeOnly())
    hidden, harmless = await defended.reply([user("open the box xx yy zz"), user("hello there")], Sampling())
    assert hidden.status is ReplyStatus.BLOCKED
    assert harmless.text == "here you are"
    assert target.asked == ["hello there"]


@given(st.text(max_size=60), st.integers(0, 9))
def test_copies_keep_the_length_and_follow_from_the_text(text: str, number: int) -> None:
    assert len(swapped(text, number)) == len(text)
    assert swapped(text, number) == swapped(text, number)


@given(st.text(max_size=60))
def test_splitting_words_changes_nothing_but_spaces(text: str) -> None:
    assert split_words(text).replace(" ", "") == text.replace(" ", "")


def test_at_most_twenty_words_are_erased_and_one_is_left() -> None:
    assert erased("a b c") == ["a b c", "a b", "a"]
    assert len(erased(" ".join("x" * 50))) == 21
    assert erased("") == [""]


@pytest.mark.parametrize(
    ("spec", "error", "told"),
    [
        ("defended:", UsageError, "names no defence"),
        ("defended:self_reminder", UsageError, "names no defence or no target"),
        ("defended:self_remainder:embedded", UnknownNameError, "self_reminder"),
    ],
)
def test_wrong_specs_are_told(spec: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        targets.load(spec, TargetOptions())


def test_a_defence_that_needs_guards_says_so() -> None:
    with pytest.raises(UsageError, match="needs guards"):
        wrap("smooth_llm", FakeTarget(lambda *_: said("x")))


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["self_reminder", "goal_priority", "in_context", "retokenise", "smooth_llm"])
async def test_a_reply_that_is_begun_stays_behind_the_request(name: str) -> None:
    asked: list[Conversation] = []

    def answer(conversation: Conversation, _: Sampling) -> str:
        asked.append(conversation)
        return "fine"

    begun = (*user("do something"), Message(role="assistant", content="Sure"))
    await wrap(name, ScriptedTarget(answer), guard).reply([begun], Sampling())
    assert asked
    for *_, request, last in asked:
        assert last == begun[-1]
        assert request.role == "user"
        assert request != begun[0] or name == "in_context"
