"""Sessions that wait at the same time are judged in one batch by each guard, and each gets its own verdicts."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from harmless.attacks.panel import Panel
from harmless.core import Exchange, Outcome, Verdict
from tests.doubles import FakeGuard


class Counting(FakeGuard):
    batches = 0

    async def judge(self, exchanges):  # type: ignore[no-untyped-def]
        self.batches += 1
        await anyio.sleep(0.01)
        return await super().judge(exchanges)


def exchanges(*replies: str) -> list[Exchange]:
    return [Exchange.of("x", reply) for reply in replies]


@pytest.mark.anyio
async def test_what_waits_at_the_same_time_is_one_batch_of_each_guard() -> None:
    guards = {"harm": Counting(), "refusal": Counting("refusal")}
    panel, found = Panel(guards), {}

    async def session(number: int) -> None:
        found[number] = await panel.judge(exchanges(*(["UNSAFE", "fine"] if number % 2 else ["fine"])))

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(session, number)
    assert [guard.batches for guard in guards.values()] == [1, 1]
    for number, verdicts in found.items():
        expected = [Outcome.UNSAFE, Outcome.SAFE] if number % 2 else [Outcome.SAFE]
        assert {role: [v.outcome for v in each] for role, each in verdicts.items()} == {
            "harm": expected,
            "refusal": expected,
        }
    assert (await panel.judge(exchanges("UNSAFE")))["harm"][0].outcome is Outcome.UNSAFE


@pytest.mark.anyio
async def test_a_guard_judges_only_what_it_is_asked_for() -> None:
    guards = {"harm": Counting(), "refusal": Counting("refusal")}
    panel, found = Panel(guards), {}

    async def session(number: int) -> None:
        found[number] = await panel.judge(exchanges("fine"), ["refusal"] if number % 2 else ["harm", "refusal"])

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(session, number)
    assert {role: guard.judged for role, guard in guards.items()} == {"harm": 2, "refusal": 4}
    assert [sorted(found[number]) for number in range(4)] == [["harm", "refusal"], ["refusal"]] * 2


@pytest.mark.anyio
async def test_others_are_judged_though_the_first_is_cancelled() -> None:
    panel, found = Panel({"harm": Counting()}), list[Verdict]()

    async def second() -> None:
        found.extend((await panel.judge(exchanges("UNSAFE"), ["harm"]))["harm"])

    async with anyio.create_task_group() as tasks, anyio.create_task_group() as first:
        first.start_soon(panel.judge, exchanges("fine"), ["harm"])
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(second)
        await anyio.sleep(0.001)
        first.cancel_scope.cancel()
    assert [verdict.outcome for verdict in found] == [Outcome.UNSAFE]
