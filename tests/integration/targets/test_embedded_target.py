"""The bundled model, run in this process."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import pytest

from harmless.core import Conversation, Message, Reply, ReplyStatus, Sampling, user
from harmless.errors import BadFileError
from harmless.targets import TargetOptions, load
from harmless.targets.embedded import EmbeddedTarget
from harmless.targets.models import find

MODEL = find()
pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(MODEL is None, reason="needs the bundled model: harmless models pull"),
]

SHORT = Sampling(max_tokens=16)


@pytest.fixture(scope="module")
def target() -> Iterator[EmbeddedTarget]:
    target = load("embedded", TargetOptions(slots=8, context=768))
    assert isinstance(target, EmbeddedTarget)
    yield target
    anyio.run(target.aclose)


def ask(target: EmbeddedTarget, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
    return anyio.run(target.reply, conversations, sampling)


def one(target: EmbeddedTarget, text: str, sampling: Sampling = SHORT) -> Reply:
    return ask(target, [user(text)], sampling)[0]


def test_it_answers(target: EmbeddedTarget) -> None:
    reply = one(target, "Say hello.", Sampling(max_tokens=64))
    assert reply.status is ReplyStatus.COMPLETE
    assert "ello" in reply.text
    assert 0 < reply.usage.completion_tokens < 64
    assert reply.latency_s > 0


def test_what_it_is(target: EmbeddedTarget) -> None:
    info = target.info
    assert (info.name, info.context_length, info.batch_size, info.concurrency) == ("embedded", 768, 1, 8)


def test_a_reply_that_the_limit_cuts_is_truncated(target: EmbeddedTarget) -> None:
    reply = one(target, "Tell me a long story.", Sampling(max_tokens=5))
    assert (reply.status, reply.cause) == (ReplyStatus.TRUNCATED, "limit of 5 tokens")
    assert reply.usage.completion_tokens == 5


def test_a_prompt_longer_than_the_context_is_an_error(target: EmbeddedTarget) -> None:
    reply = one(target, "word " * 1000)
    assert reply.status is ReplyStatus.ERROR
    assert reply.cause == "context overflow: 1031 tokens, the context holds 768"


def test_a_reply_that_fills_the_context_says_so(target: EmbeddedTarget) -> None:
    reply = one(target, "Tell me a long story about a river. " * 78, Sampling(max_tokens=600))
    assert 600 < reply.usage.prompt_tokens < 768 - reply.usage.completion_tokens + 1
    assert (reply.status, reply.cause) == (ReplyStatus.TRUNCATED, "the context is full")


def test_bad_conversations_do_not_spoil_the_others(target: EmbeddedTarget) -> None:
    good = user("What is the capital of France? One word.")
    replies = ask(target, [good, (), user("word " * 1000), good], SHORT)
    assert [reply.has_text for reply in replies] == [True, False, False, True]
    assert replies[0].text == replies[3].text
    assert "Paris" in replies[0].text


def test_replies_are_in_order_for_more_conversations_than_slots(target: EmbeddedTarget) -> None:
    places = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo", "Spain": "Madrid", "Germany": "Berlin"}
    names = list(places) * 5
    replies = ask(target, [user(f"What is the capital of {name}? One word.") for name in names], SHORT)
    assert [places[name] in reply.text for name, reply in zip(names, replies, strict=True)] == [True] * 25


def test_the_system_prompt_and_the_earlier_turns_count(target: EmbeddedTarget) -> None:
    told = Sampling(max_tokens=16, system="You always answer in French.")
    assert one(target, "Hello, how are you?", told).text != one(target, "Hello, how are you?").text
    turns = [("user", "What is the capital of France?"), ("assistant", "Paris."), ("user", "And of Italy?")]
    conversation = tuple(Message(role=role, content=text) for role, text in turns)  # type: ignore[arg-type]
    replies = ask(target, [conversation, user("And of Italy?")], SHORT)
    assert replies[0].text != replies[1].text
    assert "Rome" in replies[0].text


def test_a_stop_string_ends_the_reply(target: EmbeddedTarget) -> None:
    reply = one(target, "Count from one to five in words.", Sampling(max_tokens=64, stop=("three",)))
    assert reply.status is ReplyStatus.COMPLETE
    assert "three" not in reply.text.lower()


def test_the_seed_decides_a_sampled_reply(target: EmbeddedTarget) -> None:
    replies = [
        one(target, "Invent a name.", Sampling(temperature=1.5, max_tokens=12, seed=seed)).text
        for seed in (1, 1, 2, 3)
    ]
    assert replies[0] == replies[1]
    assert len(set(replies)) == 3


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_reply_does_not_depend_on_what_is_asked_beside_it(target: EmbeddedTarget, temperature: float) -> None:
    # Lengths on both sides of 64 and of 256 tokens, where ggml would change its way of computing.
    topics = ["tea", "a bridge over a wide river", "the history of clocks", "how birds find their way"]
    texts = [
        f"Write about {', and about '.join(topics[(i + k) % 4] for k in range(length))}."
        for i, length in enumerate([1, 6, 11, 70])
    ]
    sampling = Sampling(max_tokens=12, temperature=temperature, seed=7)
    alone = {text: one(target, text, sampling) for text in texts}
    assert min(r.usage.prompt_tokens for r in alone.values()) < 64
    assert max(r.usage.prompt_tokens for r in alone.values()) > 400
    for seed in range(2):
        mixed = random.Random(seed).sample(texts * 2, len(texts) * 2)
        together = ask(target, [user(text) for text in mixed], sampling)
        assert [reply.text for reply in together] == [alone[text].text for text in mixed]


def test_another_number_of_slots_gives_the_same_replies(target: EmbeddedTarget) -> None:
    other = load("embedded", TargetOptions(slots=3, context=768))
    assert isinstance(other, EmbeddedTarget)
    assert other.info.revision == target.info.revision
    prompts = [user(f"Why is the sky {colour}?") for colour in ("blue", "red", "dark", "grey")]
    first, second = (ask(each, prompts, SHORT) for each in (target, other))
    anyio.run(other.aclose)
    assert [reply.text for reply in first] == [reply.text for reply in second]


def test_once_closed_it_says_so() -> None:
    target = load("embedded", TargetOptions(slots=2, context=256))
    assert isinstance(target, EmbeddedTarget)
    anyio.run(target.aclose)
    anyio.run(target.aclose)
    assert one(target, "Hi").cause == "the target is closed"


@pytest.mark.parametrize("damage", ["cut", "header"])
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, damage: str) -> None:
    assert MODEL is not None
    path = tmp_path / "broken.gguf"
    with MODEL.open("rb") as file:
        data = bytearray(file.read(1_000_000 if damage == "cut" else 20_000))
    if damage == "header":
        data[8:24] = bytes([255] * 16)
    path.write_bytes(data)
    with pytest.raises(BadFileError, match="cannot load this model") as caught:
        load(f"embedded:{path}")
    assert caught.value.next_step


def test_any_gguf_file_can_be_named(tmp_path: Path) -> None:
    assert MODEL is not None
    link = tmp_path / "mine.gguf"
    link.symlink_to(MODEL)
    target = load(f"embedded:{link}", TargetOptions(slots=2, context=256))
    assert isinstance(target, EmbeddedTarget)
    assert target.info.name == "embedded:mine.gguf"
    assert one(target, "Hi").has_text
    anyio.run(target.aclose)


QUIET = """
import os, pathlib, anyio
from harmless.core import Sampling, user
from harmless.targets import TargetOptions, load
target = load("embedded", TargetOptions(slots=2, context=256))
reply = anyio.run(target.reply, [user("Hi"), user("word " * 900)], Sampling(max_tokens=4))
assert [r.status.value for r in reply] == ["truncated", "error"], reply
links = {os.readlink(fd) for fd in pathlib.Path("/proc/self/fd").iterdir() if fd.is_symlink() and fd.exists()}
for kind in ("tcp", "tcp6", "udp", "udp6"):
    for line in pathlib.Path("/proc/self/net", kind).read_text().splitlines()[1:]:
        assert f"socket:[{line.split()[9]}]" not in links, (kind, line)
assert not [p for p in pathlib.Path(os.environ["TMPDIR"]).iterdir()]
anyio.run(target.aclose)
"""


@pytest.mark.skipif(not Path("/proc/self/net").exists(), reason="needs /proc")
def test_it_is_silent_opens_no_port_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", QUIET],
        capture_output=True,
        text=True,
        check=False,
        env={"TMPDIR": str(tmp_path), "PATH": "", "HOME": str(Path.home())},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
