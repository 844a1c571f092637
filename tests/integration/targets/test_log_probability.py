"""Targets that say how likely given replies are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import anyio
import pytest

from harmless.core import Conversation, LogProbTarget, Sampling, Target, user
from harmless.errors import UnreachableError
from harmless.targets import TargetOptions, load
from harmless.targets.models import find

MODEL = find()
pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(MODEL is None, reason="needs the bundled model: harmless models pull"),
]

QUESTION = user("What is the capital of France?")


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    target = load("embedded", TargetOptions(slots=4, context=512))
    yield target
    anyio.run(target.aclose)


def scored(target: Target, conversation: Conversation, texts: Sequence[str]) -> list[list[float]]:
    assert isinstance(target, LogProbTarget)
    return anyio.run(target.log_probability, conversation, texts)


def test_its_own_greedy_reply_is_scored_token_by_token_and_is_likelier_than_another(target: Target) -> None:
    reply = anyio.run(target.reply, [QUESTION], Sampling(max_tokens=40))[0]
    own, other = scored(target, QUESTION, [reply.text, reply.text[::-1]])
    assert len(own) in (reply.usage.completion_tokens, reply.usage.completion_tokens - 1)
    assert max(own) <= 0
    assert sum(own) > sum(other) + 20


def test_a_text_is_scored_in_the_tokens_of_the_tokenizer(target: Target) -> None:
    assert [len(tokens) for tokens in scored(target, (), ["Hello world", "", "Hello"])] == [2, 0, 1]


@pytest.mark.parametrize("text", ['say "no"', "a\nb\t\\c [d] {e} |", "Émile, 日本 🙂", "x\x08y", " "])
def test_any_text_can_be_scored(target: Target, text: str) -> None:
    tokens = scored(target, QUESTION, [text])[0]
    assert tokens
    assert all(math.isfinite(value) and value <= 0 for value in tokens)


def test_the_order_is_kept_whatever_is_scored_at_the_same_time(target: Target) -> None:
    texts = ["Paris.", "London is large.", "Oslo", "It is Paris, of course."]
    assert scored(target, QUESTION, texts) == [scored(target, QUESTION, [text])[0] for text in texts]


def test_what_does_not_fit_the_context_is_an_error_with_its_cause(target: Target) -> None:
    with pytest.raises(UnreachableError, match="context"):
        scored(target, user("word " * 600), ["yes"])
    with pytest.raises(UnreachableError, match="context"):
        scored(target, user("word " * 400), ["word " * 200])


@pytest.mark.hf
def test_transformers_gives_nearly_the_same_for_the_same_weights(target: Target) -> None:
    for package in ("torch", "transformers", "gguf", "accelerate"):
        pytest.importorskip(package)
    same = load(f"hf:{MODEL}")
    texts = ["Paris.", "The capital of France is Paris.", "Blue bicycles."]
    for conversation in (QUESTION, ()):
        ours, theirs = scored(target, conversation, texts), scored(same, conversation, texts)
        assert [len(tokens) for tokens in ours] == [len(tokens) for tokens in theirs]
        for mine, other in zip(ours, theirs, strict=True):
            # llama.cpp rounds activations to 8 bits
            assert sum(mine) == pytest.approx(sum(other), rel=0.06, abs=0.4)
