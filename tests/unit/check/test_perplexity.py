"""Perplexity of plain text, from the likelihoods that a target gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from harmless.check import CheckOptions, Measure, Summary, check, load_policy
from harmless.core import Conversation
from harmless.data import Suite, load_suite
from harmless.errors import UnreachableError, UsageError
from harmless.evidence import Store
from tests import doubles

SUITE = load_suite("prose")


class Surprised(doubles.FakeTarget):
    """Gives each word of a text one of some log-probabilities, in turn."""

    def __init__(self, *logs: float) -> None:
        super().__init__(lambda *_: doubles.said("never asked"))
        self._logs = logs

    async def log_probability(
        self, conversation: Conversation, continuations: Sequence[str]
    ) -> list[list[float]]:
        assert conversation == ()
        words = continuations[0].split()
        if words[0] == "Dear":
            raise UnreachableError("gone")
        return [[self._logs[i % len(self._logs)] for i in range(len(words))]]


def run(folder: Path, target: doubles.FakeTarget, suite: Suite = SUITE) -> Summary:
    with Store(folder / "evidence.db") as store:
        return anyio.run(check, target, suite, load_policy(), store, {}, CheckOptions())


def perplexity(summary: Summary) -> Measure:
    (found,) = summary.measures
    return found


def test_a_model_that_halves_at_every_token_has_perplexity_two(tmp_path: Path) -> None:
    found = perplexity(run(tmp_path, Surprised(-math.log(2))))
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))
    assert (found.n, found.unassessed) == (len(SUITE.prompts) - 1, 1)


def test_texts_weigh_as_many_tokens_as_they_have(tmp_path: Path) -> None:
    found = perplexity(run(tmp_path, Surprised(-1.0, -2.0, -6.0)))
    logs = [
        (-1.0, -2.0, -6.0)[i % 3]
        for prompt in SUITE.prompts
        if not prompt.options[0].startswith("Dear")
        for i in range(len(prompt.options[0].split()))
    ]
    assert found.value == pytest.approx(math.exp(-sum(logs) / len(logs)), rel=1e-5)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_a_target_without_likelihoods_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="likelihood of texts"):
        run(tmp_path, doubles.FakeTarget(lambda *_: doubles.said("x")))
