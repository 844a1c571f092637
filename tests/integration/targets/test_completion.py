"""Targets that take exact inputs and give the probabilities of their tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import anyio
import pytest

from harmless.core import Completion, CompletionTarget, ModelInput, ReplyStatus, Sampling, Target, user
from harmless.targets import TargetOptions, load
from harmless.targets.models import find

MODEL = find()
pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(MODEL is None, reason="needs the bundled model: harmless models pull"),
]

QUESTION = "Is water wet? Answer Yes or No."
RAW = ModelInput(text=f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n")
CHAT = ModelInput(messages=({"role": "user", "content": QUESTION},), template={"unused": 1})
SHORT = Sampling(max_tokens=3)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    target = load("embedded", TargetOptions(slots=2, context=512))
    yield target
    anyio.run(target.aclose)


def complete(target: Target, inputs: Sequence[ModelInput], top: int = 3) -> list[Completion]:
    assert isinstance(target, CompletionTarget)
    return anyio.run(target.complete, inputs, SHORT, top)


def test_messages_get_the_reply_of_the_same_conversation(target: Target) -> None:
    (completion,) = complete(target, [CHAT])
    (reply,) = anyio.run(target.reply, [user(QUESTION)], SHORT)
    assert completion.text == reply.text


def test_every_token_comes_with_the_most_likely_ones_of_its_place(target: Target) -> None:
    for completion in complete(target, [RAW, CHAT]):
        assert "".join(token.text for token in completion.tokens) == completion.text
        for token in completion.tokens:
            assert len(token.top) == 3
            assert token.top[0] == (token.text, token.logprob)  # greedy
            assert sum(math.exp(value) for _, value in token.top) <= 1.001


def test_none_are_given_where_none_are_asked_for(target: Target) -> None:
    assert [completion.tokens for completion in complete(target, [RAW, CHAT], top=0)] == [(), ()]


def test_what_cannot_be_asked_costs_only_itself_and_the_order_is_kept(target: Target) -> None:
    inputs = [ModelInput(text="word " * 600), RAW, ModelInput(text="\ud800"), CHAT]
    found = complete(target, inputs)
    assert [completion.status is ReplyStatus.ERROR for completion in found] == [True, False, True, False]
    assert "context overflow" in found[0].cause
    assert "surrogates" in found[2].cause
    assert (found[1].text, found[3].text) == tuple(c.text for c in complete(target, [RAW, CHAT]))


@pytest.mark.parametrize("fields", [{}, {"text": "a", "messages": ({"role": "user", "content": "a"},)}])
def test_an_input_is_either_text_or_messages(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="either text or messages"):
        ModelInput.model_validate(fields)


@pytest.mark.hf
def test_transformers_gives_nearly_the_same_for_the_same_weights(target: Target) -> None:
    for package in ("torch", "transformers", "gguf", "accelerate"):
        pytest.importorskip(package)
    for mine, other in zip(
        complete(target, [RAW, CHAT]), complete(load(f"hf:{MODEL}"), [RAW, CHAT]), strict=True
    ):
        assert mine.tokens[0].text == other.tokens[0].text
        assert mine.tokens[0].logprob == pytest.approx(other.tokens[0].logprob, abs=0.3)
