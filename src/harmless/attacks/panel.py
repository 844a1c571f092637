"""The guards of a campaign: what sessions want judged at the same time goes to each guard as one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from harmless.check.outcomes import ROLES
from harmless.core import Exchange, Guard, Verdict
from harmless.core.judging import judge_safely

#: Seconds that the first of a batch waits for others, as long as they come: little beside the time of a reply,
#: and guards on a CPU cost several times less in batches.
PATIENCE_S = 0.025
#: Seconds in which one has to come.
STEP_S = 0.003


@dataclass(eq=False)
class _Waiting:
    exchanges: Sequence[Exchange]
    roles: Sequence[str]
    verdicts: dict[str, list[Verdict]] = field(default_factory=dict)


@dataclass(eq=False)
class _Batch:
    waiting: list[_Waiting] = field(default_factory=list)
    judged: anyio.Event = field(default_factory=anyio.Event)


class Panel:
    """Guards by role, each asked in batches that many sessions share.

    ``infos`` and ``identities`` are those of the guards, by role.

    Args:
        guards: role -> guard.
    """

    def __init__(self, guards: Mapping[str, Guard]) -> None:
        self._guards = guards
        self.infos = {role: guard.info for role, guard in guards.items()}
        self.identities = {role: info.identity for role, info in self.infos.items()}
        self._batch = _Batch()

    async def judge(
        self, exchanges: Sequence[Exchange], roles: Sequence[str] = ROLES
    ) -> dict[str, list[Verdict]]:
        """Return role -> one verdict an exchange, in order."""
        mine, batch = _Waiting(exchanges, roles), self._batch
        batch.waiting.append(mine)
        if len(batch.waiting) == 1:
            await self._lead(batch)
        else:
            await batch.judged.wait()
        if len(mine.verdicts) < len(roles):  # whoever led the batch was cancelled
            await self._judge([mine])
        return mine.verdicts

    async def _lead(self, batch: _Batch) -> None:
        try:
            await self._gather(batch)
            self._batch = _Batch()
            await self._judge(batch.waiting)
        finally:
            if self._batch is batch:
                self._batch = _Batch()
            batch.judged.set()

    async def _gather(self, batch: _Batch) -> None:
        for _ in range(round(PATIENCE_S / STEP_S)):
            before = len(batch.waiting)
            await anyio.sleep(STEP_S)
            if len(batch.waiting) == before:
                return

    async def _judge(self, waiting: Sequence[_Waiting]) -> None:
        async def judge(role: str) -> None:
            those = [each for each in waiting if role in each.roles]
            exchanges = [each for one in those for each in one.exchanges]
            found = iter(await judge_safely(self._guards[role], exchanges))
            for one in those:
                one.verdicts[role] = [next(found) for _ in one.exchanges]

        async with anyio.create_task_group() as tasks:
            for role in {role for each in waiting for role in each.roles}:
                tasks.start_soon(judge, role)
