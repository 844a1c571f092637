"""Sessions that wait at the same time are judged in one batch, each gets its own verdicts."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from harmless.attacks.together import Together
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
async def test_what_waits_at_the_same_time_is_one_batch() -> None:
    guard = Counting()
    together, found = Together(guard), {}

    async def session(number: int) -> None:
        found[number] = await together.judge(exchanges(*(["UNSAFE", "fine"] if number % 2 else ["fine"])))

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(session, number)
    assert guard.batches == 1
    assert {n: [v.outcome for v in verdicts] for n, verdicts in found.items()} == {
        n: [Outcome.UNSAFE, Outcome.SAFE] if n % 2 else [Outcome.SAFE] for n in range(10)
    }
    assert together.info == guard.info
    assert (await together.judge(exchanges("UNSAFE")))[0].outcome is Outcome.UNSAFE


@pytest.mark.anyio
async def test_others_are_judged_though_the_first_is_cancelled() -> None:
    together, found = Together(Counting()), list[Verdict]()

    async def second() -> None:
        found.extend(await together.judge(exchanges("UNSAFE")))

    async with anyio.create_task_group() as tasks, anyio.create_task_group() as first:
        first.start_soon(together.judge, exchanges("fine"))
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(second)
        await anyio.sleep(0.001)
        first.cancel_scope.cancel()
    assert [verdict.outcome for verdict in found] == [Outcome.UNSAFE]
