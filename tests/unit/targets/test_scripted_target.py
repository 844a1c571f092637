"""Targets with fixed replies."""

from __future__ import annotations

import json
import time
from pathlib import Path

import anyio
import pytest

from harmless.core import Conversation, Message, Reply, ReplyStatus, Sampling, user
from harmless.errors import BadFileError
from harmless.targets import load
from harmless.targets.scripted import Rule, ScriptedTarget

pytestmark = pytest.mark.anyio

RULES = [
    {"exact": "hi", "reply": "Hello."},
    {"match": "(?i)steal", "reply": "I can't help."},
    {"match": "^cut", "reply": "Half", "status": "truncated", "cause": "limit of tokens"},
    {"match": "fail", "status": "error", "cause": "http 500"},
    {"match": "blank", "status": "empty"},
    {"reply": "Anything."},
]


def written(folder: Path, kind: str) -> Path:
    path = folder / f"rules.{kind}"
    text = "\n\n".join(json.dumps(rule) for rule in RULES) if kind == "jsonl" else json.dumps(RULES)
    path.write_text(text)
    return path


async def ask(target: object, *prompts: str) -> list[Reply]:
    assert isinstance(target, ScriptedTarget)
    return await target.reply([user(prompt) for prompt in prompts], Sampling())


@pytest.mark.parametrize("kind", ["yaml", "json", "jsonl"])
async def test_the_first_rule_that_matches_answers(tmp_path: Path, kind: str) -> None:
    target = load(f"scripted:{written(tmp_path, kind)}")
    replies = await ask(target, "hi", "hi there", "How to STEAL", "cut it", "fail", "blank")
    assert [(r.status.value, r.text, r.cause) for r in replies] == [
        ("complete", "Hello.", ""),
        ("complete", "Anything.", ""),
        ("complete", "I can't help.", ""),
        ("truncated", "Half", "limit of tokens"),
        ("error", "", "http 500"),
        ("empty", "", ""),
    ]


async def test_the_last_user_message_counts() -> None:
    target = ScriptedTarget([Rule(exact="two", reply="yes"), Rule(reply="no")])
    turns = [("user", "one"), ("assistant", "two"), ("user", "two"), ("assistant", "three")]
    conversation = tuple(Message(role=role, content=text) for role, text in turns)  # type: ignore[arg-type]
    (reply,) = await target.reply([conversation], Sampling())
    assert reply.text == "yes"


async def test_a_prompt_that_no_rule_matches_is_an_error() -> None:
    (reply,) = await ask(ScriptedTarget([Rule(exact="a", reply="b")]), "c")
    assert (reply.status, reply.cause) == (ReplyStatus.ERROR, "no rule of the script matches")


async def test_a_function_may_answer_with_text_or_with_a_reply() -> None:
    def answer(conversation: Conversation, sampling: Sampling) -> Reply | str:
        text = conversation[-1].content
        return Reply.error("no") if text == "bad" else f"{text} {sampling.seed}"

    replies = await ScriptedTarget(answer).reply([user("good"), user("bad")], Sampling(seed=5))
    assert [(r.status.value, r.text) for r in replies] == [("complete", "good 5"), ("error", "")]


async def test_a_delay_is_waited_for_once_a_batch() -> None:
    target = ScriptedTarget([Rule(reply="slow", delay_s=0.05)])
    started = time.monotonic()
    replies = await ask(target, *"abcdefghij")
    assert 0.05 <= time.monotonic() - started < 0.45  # one after the other takes 0.5
    assert replies[0].latency_s == 0.05


def test_the_revision_follows_the_rules() -> None:
    one, same, other = (ScriptedTarget([Rule(reply=text)]).info.revision for text in ("a", "a", "b"))
    assert one == same != other


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.jsonl", '{"reply": "a"}\n{"reply": \n', r"r\.jsonl:2:11: Not JSON"),
        ("r.jsonl", '{"reply": "a"}\n\n{"replay": "a"}', r"r\.jsonl:3: Rule 2, replay: Extra inputs"),
        ("r.yaml", "- reply: a\n  match: [", r"r\.yaml:2:11: Not YAML"),
        ("r.yaml", "- reply: a\x07b", r"r\.yaml: Not YAML"),
        ("r.yaml", "reply: a", "Not a list of rules"),
        ("r.yaml", "", "Not a list of rules"),
        ("r.yaml", "[]", "There are no rules"),
        ("r.yaml", "- match: '('\n  reply: a", "Rule 1, match: Value error, not a regular expression"),
        ("r.yaml", "- reply: a\n- match: b", "Rule 2: Value error, a rule with status complete needs a reply"),
        ("r.yaml", "- {match: a, exact: b, reply: c}", "give match or exact, not both"),
        ("r.yaml", "- status: gone", "Rule 1, status: Input should be"),
        ("r.yaml", "- 5", "Rule 1: Input should be"),
    ],
)
def test_a_mistake_in_a_script_is_named_with_its_place(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BadFileError, match=message):
        load(f"scripted:{path}")


def test_a_script_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="cannot be read"):
        load(f"scripted:{tmp_path / 'none.yaml'}")
    with pytest.raises(BadFileError, match="No file is named"):
        load("scripted:")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"- reply: caf\xe9")
    with pytest.raises(BadFileError, match="cannot be read"):
        load(f"scripted:{latin}")


def test_it_answers_twenty_thousand_times_a_second(tmp_path: Path) -> None:
    target = load(f"scripted:{written(tmp_path, 'yaml')}")
    batch = [user(f"prompt {i}") for i in range(64)]

    async def rate() -> float:
        started = time.process_time()
        for _ in range(100):
            await target.reply(batch, Sampling())
        return 6400 / (time.process_time() - started)

    assert max(anyio.run(rate) for _ in range(3)) >= 20_000
