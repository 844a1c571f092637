"""Judging in batches: bounded, in order, and a bad item costs only itself."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmless.core import Exchange, Outcome, Verdict
from harmless.guards import batches
from harmless.guards.batches import BATCH, judge_each

POISON = "poison"
SCORED = [Verdict(outcome=Outcome.SAFE, score=length / 100) for length in range(10)]


class Lengths:
    """Scores a prompt by its length, fails on poison, and remembers how many it was given at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        self.sizes.append(len(exchanges))
        if any(each.prompt == POISON for each in exchanges):
            raise ValueError("poisoned")
        return [SCORED[len(each.prompt)] for each in exchanges]


def test_a_hundred_thousand_exchanges_are_never_in_memory_at_once() -> None:
    judge, exchanges = Lengths(), [Exchange.of("a"), Exchange.of("ab")] * 50_000
    found = judge_each(exchanges, judge)
    assert [verdict.score for verdict in found] == [0.01, 0.02] * 50_000
    assert max(judge.sizes) == BATCH
    assert len(judge.sizes) == -(-len(exchanges) // BATCH)


@settings(deadline=None)
@given(st.sets(st.integers(0, 23), max_size=3), st.integers(0, 24))
def test_what_fails_is_unassessed_and_all_else_judged_in_order(bad: set[int], count: int) -> None:
    prompts = [POISON if place in bad else "x" * (place % 5) for place in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "BATCH", 8)
        found = judge_each([Exchange.of(prompt) for prompt in prompts], Lengths())
    assert [verdict.score for verdict in found] == [None if p == POISON else len(p) / 100 for p in prompts]
    assert {v.reason for v in found if v.outcome is Outcome.UNASSESSED} <= {"ValueError: poisoned"}


def test_a_poisoned_batch_costs_the_others_nothing() -> None:
    judge = Lengths()
    judge_each([Exchange.of("a")] * BATCH + [Exchange.of(POISON)] + [Exchange.of("a")] * BATCH, judge)
    assert judge.sizes.count(1) == BATCH + 1
