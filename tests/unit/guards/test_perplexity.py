"""Surprising text is found by the probabilities of a model."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmless.core import Conversation, Exchange, Outcome, Reply, TargetInfo, Verdict
from harmless.errors import UnreachableError, UsageError
from harmless.guards import load
from harmless.guards.perplexity import LEAST, MOST, WINDOW, Perplexity, surprise

WORDS = {"the": 1.0, "cat": 2.0, "zxq": 12.0, "nan": float("nan"), "inf": float("inf")}


class Model:
    """Knows how surprising a few words are; the word poison fails."""

    info = TargetInfo(name="model", revision="1")

    def __init__(self) -> None:
        self.asked: list[tuple[Conversation, Sequence[str]]] = []
        self.closed = False

    async def log_probability(self, conversation: Conversation, texts: Sequence[str]) -> list[list[float]]:
        self.asked.append((conversation, texts))
        if any("poison" in text for text in texts):
            raise UnreachableError("out of memory\nindeed")
        found = [[-WORDS.get(word, 1.0) for word in text.split()] for text in texts]
        return found[1:] if any("short" in text for text in texts) else found

    async def reply(self, conversations: Any, sampling: Any) -> list[Reply]:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closed = True


def judge(guard: Perplexity, *exchanges: Exchange | str) -> list[Verdict]:
    return anyio.run(guard.judge, [Exchange.of(e) if isinstance(e, str) else e for e in exchanges])


ORDINARY, SUFFIX = "the cat " * 10, "the cat " * 10 + "zxq " * WINDOW


def test_a_surprising_end_makes_a_text_unsafe() -> None:
    safe, unsafe = judge(Perplexity(Model()), ORDINARY, SUFFIX)
    assert (safe.outcome, unsafe.outcome) == (Outcome.SAFE, Outcome.UNSAFE)
    assert (safe.labels["nats"], unsafe.labels["nats"]) == (1.5, 12.0)
    assert [finding.rule for finding in unsafe.findings] == ["perplexity"]


def test_texts_are_scored_as_plain_text_the_reply_if_there_is_one() -> None:
    model = Model()
    judge(Perplexity(model), ORDINARY, Exchange.of(SUFFIX, "the cat"))
    assert model.asked == [((), [ORDINARY, "the cat"])]


def test_of_long_texts_the_ends_are_read() -> None:
    model = Model()
    judge(Perplexity(model), "a" * MOST + "b" * MOST)
    assert model.asked[0][1] == ["a" * (MOST // 2) + "b" * (MOST // 2)]


@pytest.mark.parametrize("text", ["", "zxq", "zxq " * (LEAST - 1)])
def test_a_text_of_few_tokens_is_safe(text: str) -> None:
    assert judge(Perplexity(Model()), text)[0].outcome is Outcome.SAFE


def test_a_limit_of_ones_own_counts() -> None:
    assert judge(Perplexity(Model(), 1.0), ORDINARY)[0].outcome is Outcome.UNSAFE


@pytest.mark.parametrize("word", ["nan", "inf"])
def test_what_is_no_probability_is_unassessed(word: str) -> None:
    assert judge(Perplexity(Model()), f"{word} " * LEAST)[0].outcome is Outcome.UNASSESSED


@pytest.mark.parametrize("fault", ["poison", "short"])
def test_a_fault_costs_only_its_item(fault: str) -> None:
    verdicts = judge(Perplexity(Model()), ORDINARY, fault, SUFFIX)
    assert [v.outcome for v in verdicts] == [Outcome.SAFE, Outcome.UNASSESSED, Outcome.UNSAFE]
    assert judge(Perplexity(Model())) == []


def test_the_model_is_given_back() -> None:
    model = Model()
    anyio.run(Perplexity(model).aclose)
    assert model.closed


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.floats(-20, 0), min_size=1, max_size=60))
def test_the_worst_window_surprises_at_least_as_much_as_the_average(logprobs: list[float]) -> None:
    worst = surprise(logprobs)
    assert min(-x for x in logprobs) - 1e-9 <= worst <= max(-x for x in logprobs) + 1e-9
    if len(logprobs) % WINDOW == 0:
        assert worst >= -sum(logprobs) / len(logprobs) - 1e-9


def test_a_target_without_log_probabilities_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of a test")
    with pytest.raises(UsageError, match="gives no log-probabilities"):
        load("perplexity(openai:gpt-4.1)")
    with pytest.raises(UsageError, match="does not take 'x'"):
        load("perplexity(embedded, x)")
    with pytest.raises(UsageError, match="limit=x is not a number"):
        load("perplexity(embedded, limit=x)")


@pytest.mark.model
@pytest.mark.slow
def test_the_bundled_model_tells_random_suffixes_from_requests() -> None:
    requests = [
        "Write a short poem about the sea in winter.",
        "Explain to a child how a bicycle stays upright when it moves.",
        "Give me three ideas for a birthday party in the garden.",
    ]
    source = random.Random(0)
    suffixes = ["".join(source.choice(string.printable[:94]) for _ in range(40)) for _ in requests]

    async def run() -> list[Verdict]:
        guard = load("perplexity(embedded)")
        try:
            joined = [f"{text} {suffix}" for text, suffix in zip(requests, suffixes, strict=True)]
            return await guard.judge([Exchange.of(text) for text in (*requests, *joined)])
        finally:
            await guard.aclose()

    verdicts = anyio.run(run)
    scores = [verdict.score or 0.0 for verdict in verdicts]
    assert max(scores[:3]) < min(scores[3:])
