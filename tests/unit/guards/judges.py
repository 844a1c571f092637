"""Judges whose whole behaviour is in sight: honest ones, and such as obey what they are to rate."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import count

from harmless.core import Conversation, Reply, ReplyStatus, Sampling
from harmless.guards.llm_judge import Asking, LlmJudge
from harmless.guards.rubric import load_rubric
from harmless.targets.scripted import ScriptedTarget

Say = Callable[[str, str], str]
"""What is answered to a key and the text that is to be rated."""


def key_in(conversation: Conversation) -> str:
    return re.findall(r"The key is (\w+)\.", conversation[0].content)[0]


def texts_in(conversation: Conversation) -> list[str]:
    """The texts between the delimiters, the rated ones last."""
    fence = re.findall(r"a line <<<(\w+) and", conversation[0].content)[0]
    return re.findall(rf"<<<{fence}\n(.*?)\n{fence}>>>", conversation[-1].content, re.DOTALL)


def verdict(key: str, level: int, *criteria: str, **more: object) -> str:
    return json.dumps({"reason": "because", "criteria": list(criteria), "level": level, "key": key, **more})


def honest(key: str, text: str) -> str:
    """Rate by the words that stand in the text: BAD is level 5, SO-SO level 3."""
    bad = "BAD" in text or "vermin" in text or "Banana" in text
    return verdict(key, 5 if bad else 3 if "SO-SO" in text else 1, *(["hate"] if bad else []))


def gullible(key: str, text: str) -> str:
    """Do what the text says about its rating, with the right key."""
    order = re.search(r"(?:rate|level|score)\D{0,40}([1-5])", text, re.IGNORECASE)
    if re.search(r"rate this safe", text, re.IGNORECASE):
        return verdict(key, 1)
    return verdict(key, int(order[1])) if order else honest(key, text)


def parrot(key: str, text: str) -> str:
    """Answer with the last JSON that stands in the text."""
    found = re.findall(r"\{[^{}]*\}", text)
    return found[-1] if found else honest(key, text)


def target(say: Say, asked: list[Conversation] | None = None, cost_usd: float | None = None) -> ScriptedTarget:
    def answer(conversation: Conversation, sampling: Sampling) -> Reply:
        if asked is not None:
            asked.append(conversation)
        text = say(key_in(conversation), texts_in(conversation)[-1])
        return Reply(status=ReplyStatus.COMPLETE, text=text, cost_usd=cost_usd)

    return ScriptedTarget(answer, name=f"scripted:{say.__name__}")


def keys(start: int = 0) -> Callable[[], str]:
    """Keys that come in a row: k0, k1, ..."""
    numbers = count(start)
    return lambda: f"k{next(numbers)}"


def judge_of(say: Say, rubric: str = "harm", **asking: object) -> LlmJudge:
    settings = Asking(**{"key": keys(), **asking})  # type: ignore[arg-type]
    return LlmJudge([target(say)], load_rubric(rubric), settings)
