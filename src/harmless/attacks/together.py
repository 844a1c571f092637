"""A guard that judges for many sessions at once: what waits at the same time goes to the guard as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from harmless.core import Exchange, Guard, GuardInfo, Verdict

#: Seconds that the first of a batch waits for others, as long as they come: little beside the time of a reply,
#: and guards on a CPU cost several times less in batches.
PATIENCE_S = 0.025
#: Seconds in which one has to come.
STEP_S = 0.003


@dataclass
class _Waiting:
    exchanges: Sequence[Exchange]
    verdicts: list[Verdict] | None = None
    judged: anyio.Event = field(default_factory=anyio.Event)


class Together:
    """Judges as ``guard`` does, in larger batches; it has the same identity."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._waiting: list[_Waiting] = []

    @property
    def info(self) -> GuardInfo:
        """That of the guard."""
        return self._guard.info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order."""
        mine = _Waiting(exchanges)
        self._waiting.append(mine)
        if len(self._waiting) == 1:
            await self._judge_all()
        else:
            await mine.judged.wait()
        # Whoever led the batch may have been cancelled.
        return await self._guard.judge(exchanges) if mine.verdicts is None else mine.verdicts

    async def _gathered(self, batch: list[_Waiting]) -> None:
        for _ in range(round(PATIENCE_S / STEP_S)):
            before = len(batch)
            await anyio.sleep(STEP_S)
            if len(batch) == before:
                return

    async def _judge_all(self) -> None:
        batch = self._waiting
        try:
            await self._gathered(batch)
            self._waiting = []
            found = iter(await self._guard.judge([each for one in batch for each in one.exchanges]))
            for one in batch:
                one.verdicts = [next(found) for _ in one.exchanges]
        finally:
            self._waiting = self._waiting if self._waiting is not batch else []
            for one in batch:
                one.judged.set()
