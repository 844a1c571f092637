"""A desk keeps to the batch size and concurrency of its target, and answers whoever asked."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from harmless.attacks.desk import Desk
from harmless.core import Conversation, Reply, Sampling, TargetInfo, user
from tests.doubles import said


class Slow:
    """Echoes once ``let`` is set; ``batches`` are what it was asked together, ``most`` the calls at once."""

    def __init__(self, *, batch_size: int, concurrency: int) -> None:
        self.info = TargetInfo(name="slow", revision="1", batch_size=batch_size, concurrency=concurrency)
        self.batches: list[tuple[int, Sampling]] = []
        self.most = self._now = 0
        self.asked, self.let = anyio.Event(), anyio.Event()

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        self.batches.append((len(conversations), sampling))
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            self.asked.set()
            await self.let.wait()
        finally:
            self._now -= 1
        return [said(f"{each[-1].content}!") for each in conversations]

    async def aclose(self) -> None: ...


COLD, WARM = Sampling(), Sampling(temperature=0.5)


async def asked(target: Slow, questions: Sequence[tuple[str, Sampling]]) -> list[str]:
    """Ask everything at the same time."""
    desk, found = Desk(target), [""] * len(questions)

    async def ask(place: int) -> None:
        text, sampling = questions[place]
        found[place] = (await desk.ask(user(text), sampling)).text

    async with anyio.create_task_group() as tasks:
        for place in range(len(questions)):
            tasks.start_soon(ask, place)
        await anyio.wait_all_tasks_blocked()
        target.let.set()
    return found


@pytest.mark.anyio
@pytest.mark.parametrize(("batch_size", "concurrency", "calls"), [(1, 4, 20), (8, 1, 3), (4, 2, 5)])
async def test_limits_are_kept_and_everybody_gets_the_own_reply(
    batch_size: int, concurrency: int, calls: int
) -> None:
    target = Slow(batch_size=batch_size, concurrency=concurrency)
    assert await asked(target, [(str(i), COLD) for i in range(20)]) == [f"{i}!" for i in range(20)]
    assert len(target.batches) == calls
    assert max(size for size, _ in target.batches) == batch_size
    assert target.most == concurrency


@pytest.mark.anyio
async def test_a_batch_has_one_sampling() -> None:
    target = Slow(batch_size=8, concurrency=1)
    questions = [(str(i), WARM if i % 2 else COLD) for i in range(8)]
    assert await asked(target, questions) == [f"{i}!" for i in range(8)]
    assert sorted(target.batches, key=str) == sorted([(4, COLD), (4, WARM)], key=str)


@pytest.mark.anyio
@pytest.mark.parametrize("first", [0, 1])
async def test_others_are_answered_though_one_of_a_batch_is_cancelled(first: int) -> None:
    target, found = Slow(batch_size=8, concurrency=1), list[str]()
    desk = Desk(target)

    async def ask(text: str) -> None:
        found.append((await desk.ask(user(text), COLD)).text)

    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as cancelled:
            for text in ("lost", "kept")[:: -1 if first else 1]:
                (cancelled if text == "lost" else tasks).start_soon(ask, text)
            await target.asked.wait()
            cancelled.cancel_scope.cancel()
        target.let.set()
    assert found == ["kept!"]
    assert (await desk.ask(user("later"), COLD)).text == "later!"
