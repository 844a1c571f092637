"""Targets behind a guard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless import taxonomy
from harmless.core import (
    Exchange,
    Finding,
    GradeBand,
    GuardInfo,
    GuardRule,
    Outcome,
    Policy,
    Reply,
    ReplyStatus,
    Sampling,
    Usage,
    Verdict,
    user,
)
from harmless.targets.guarded import GuardedTarget
from harmless.targets.scripted import ScriptedTarget

BANDS = (GradeBand(grade="A", max_rate=1),)
POLICY = Policy(grades=BANDS, refusal_text="No.")


class WordGuard:
    """Scores the judged text by its words: bad 0.9, odd 0.4; cannot judge what says garbled."""

    def __init__(self, sees: Literal["prompt", "reply", "both"] = "both") -> None:
        self.info = GuardInfo(name="words", revision="1", sees=sees, threshold=0.5)
        self.batches: list[list[Exchange]] = []

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        self.batches.append(list(exchanges))
        return [self._verdict(e.prompt if e.reply is None else e.reply) for e in exchanges]

    def _verdict(self, text: str) -> Verdict:
        if "garbled" in text:
            return Verdict.unassessed("no idea")
        score = 0.9 if "bad" in text else 0.4 if "odd" in text else 0.1
        outcome = Outcome.UNSAFE if score > 0.5 else Outcome.SAFE
        return Verdict(outcome=outcome, score=score, reason="a word" if score > 0.1 else "", latency_s=0.25)


def echo(prefix: str = "") -> ScriptedTarget:
    return ScriptedTarget(
        lambda conversation, _: Reply(
            status=ReplyStatus.COMPLETE,
            text=prefix + conversation[-1].content,
            usage=Usage(completion_tokens=3),
        )
    )


def ask(target: GuardedTarget, *prompts: str) -> list[Reply]:
    return anyio.run(target.reply, [user(prompt) for prompt in prompts], Sampling())


def test_a_flagged_prompt_never_reaches_the_target() -> None:
    asked: list[str] = []

    def remember(conversation: object, _: Sampling) -> str:
        asked.append(conversation[-1].content)  # type: ignore[index]
        return "fine"

    target = GuardedTarget(WordGuard("prompt"), ScriptedTarget(remember), POLICY)
    blocked, passed = ask(target, "bad thing", "good thing")
    assert asked == ["good thing"]
    assert (blocked.status, blocked.text) == (ReplyStatus.BLOCKED, "No.")
    assert blocked.cause == "prompt blocked by words: a word"
    assert blocked.latency_s == 0.25
    assert (passed.status, passed.text) == (ReplyStatus.COMPLETE, "fine")


def test_a_flagged_reply_is_replaced_and_keeps_its_usage() -> None:
    (reply,) = ask(GuardedTarget(WordGuard("reply"), echo("bad "), POLICY), "hello")
    assert (reply.status, reply.text) == (ReplyStatus.BLOCKED, "No.")
    assert reply.cause == "reply blocked by words: a word"
    assert reply.usage.completion_tokens == 3


@pytest.mark.parametrize(
    ("sees", "replies", "batches"),
    [("prompt", ["bad hi"], 1), ("reply", ["No."], 1), ("both", ["No."], 2)],
)
def test_the_guard_judges_what_it_sees(
    sees: Literal["prompt", "reply", "both"], replies: list[str], batches: int
) -> None:
    guard = WordGuard(sees)
    assert [r.text for r in ask(GuardedTarget(guard, echo("bad "), POLICY), "hi")] == replies
    assert len(guard.batches) == batches


def test_guard_calls_are_batched() -> None:
    guard = WordGuard()
    ask(GuardedTarget(guard, echo(), POLICY), "a", "bad", "b", "c")
    assert [len(batch) for batch in guard.batches] == [4, 3]


def test_the_threshold_is_the_policys() -> None:
    strict = POLICY.model_copy(update={"guards": {"words": GuardRule(threshold=0.4)}})
    lax = POLICY.model_copy(update={"guards": {"words": GuardRule(threshold=0.95)}})
    for policy, odd, bad in ((POLICY, "odd", "No."), (strict, "No.", "No."), (lax, "odd", "bad")):
        target = GuardedTarget(WordGuard(), echo(), policy)
        assert [r.text for r in ask(target, "odd", "bad")] == [odd, bad]


def test_what_could_not_be_judged_is_blocked_unless_the_policy_allows_it() -> None:
    (blocked,) = ask(GuardedTarget(WordGuard(), echo(), POLICY), "garbled")
    assert blocked.status is ReplyStatus.BLOCKED
    assert blocked.cause == "prompt blocked by words: not judged, no idea"
    assert blocked.unjudged
    assert not ask(GuardedTarget(WordGuard(), echo(), POLICY), "bad")[0].unjudged
    allow = POLICY.model_copy(update={"on_unassessed": "allow"})
    (passed,) = ask(GuardedTarget(WordGuard(), echo(), allow), "garbled")
    assert (passed.status, passed.text) == (ReplyStatus.COMPLETE, "garbled")


@pytest.mark.parametrize("status", ["empty", "filtered", "malformed", "error", "blocked"])
def test_replies_without_text_of_the_model_are_not_judged(status: str) -> None:
    inner = Reply(status=ReplyStatus(status), text="bad" if status == "blocked" else "", cause="so")
    guard = WordGuard("reply")
    (reply,) = ask(GuardedTarget(guard, ScriptedTarget(lambda *_: inner), POLICY), "hi")
    assert reply == inner
    assert guard.batches == []


def test_the_revision_follows_guard_target_and_what_the_policy_decides() -> None:
    def identity(policy: Policy, guard: WordGuard, revision: str = "1") -> str:
        return GuardedTarget(guard, ScriptedTarget(lambda *_: "a", revision=revision), policy).info.identity

    other = WordGuard()
    other.info = other.info.model_copy(update={"revision": "2"})
    base = identity(POLICY, WordGuard())
    assert base == identity(POLICY, WordGuard())
    assert base == identity(POLICY.model_copy(update={"name": "b", "max_over_refusal": 0.3}), WordGuard())
    changed = [
        identity(POLICY, WordGuard(), revision="2"),
        identity(POLICY, other),
        *(
            identity(POLICY.model_copy(update=update), WordGuard())
            for update in (
                {"guards": {"words": GuardRule(threshold=0.1)}},
                {"on_unassessed": "allow"},
                {"refusal_text": "Never."},
            )
        ),
    ]
    assert len({base, *changed}) == 6


def test_a_hazard_may_have_a_refusal_of_its_own_and_the_nearest_level_counts() -> None:
    texts = {"salad.d.O5": "domain", "salad.c.O62": "leaf"}
    policy = POLICY.model_copy(update={"refusal_texts": texts})

    class Hazards(WordGuard):
        def _verdict(self, text: str) -> Verdict:
            hazards = zip((0.6, 0.9), text.split(), strict=False)
            findings = tuple(Finding(hazard=None if h == "none" else h, score=s) for s, h in hazards)
            return Verdict(outcome=Outcome.UNSAFE, score=0.9, findings=findings)

    asked = {
        "salad.c.O62": "leaf",
        "salad.t.O14 salad.c.O62": "leaf",
        "salad.c.O62 none": "leaf",
        "salad.c.O1": "No.",
        "none": "No.",
        "": "No.",
    }
    replies = ask(GuardedTarget(Hazards(), echo(), policy), *asked)
    assert [reply.text for reply in replies] == list(asked.values())
    below = taxonomy.load().leaves_under("salad.d.O5")[0].key
    assert [r.text for r in ask(GuardedTarget(Hazards(), echo(), policy), below)] == ["domain"]
    assert GuardedTarget(WordGuard(), echo(), policy).info != GuardedTarget(WordGuard(), echo(), POLICY).info


def test_the_limits_are_those_of_the_target() -> None:
    inner = ScriptedTarget(lambda *_: "a", batch_size=7, concurrency=3)
    info = GuardedTarget(WordGuard(), inner, POLICY).info
    assert (info.name, info.batch_size, info.concurrency) == ("guarded:words:scripted", 7, 3)


PROMPTS = st.lists(st.sampled_from(["fine", "bad", "odd", "garbled", "bad and odd", ""]), max_size=12)


@given(PROMPTS)
def test_there_is_one_reply_a_prompt_in_order(prompts: list[str]) -> None:
    replies = ask(GuardedTarget(WordGuard(), echo("> "), POLICY), *prompts)
    assert len(replies) == len(prompts)
    for prompt, reply in zip(prompts, replies, strict=True):
        blocked = "bad" in prompt or "garbled" in prompt
        assert reply.text == ("No." if blocked else f"> {prompt}")


@given(PROMPTS)
def test_a_second_guard_of_the_same_kind_changes_nothing(prompts: list[str]) -> None:
    once = GuardedTarget(WordGuard(), echo(), POLICY)
    twice = GuardedTarget(WordGuard(), once, POLICY)
    assert [r.text for r in ask(twice, *prompts)] == [r.text for r in ask(once, *prompts)]
