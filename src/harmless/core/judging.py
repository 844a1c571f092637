"""Judging by guards that may break their contract."""

from __future__ import annotations

from collections.abc import Sequence

from harmless.core.exchange import Exchange
from harmless.core.protocols import Guard
from harmless.core.verdict import Verdict


async def judge_safely(guard: Guard, exchanges: Sequence[Exchange]) -> list[Verdict]:
    """Return one verdict an exchange, also of a guard that raises or miscounts.

    Then each exchange is judged alone, and one that fails again is unassessed with its cause.
    """
    if not exchanges:
        return []
    try:
        verdicts = list(await guard.judge(exchanges))
        if len(verdicts) == len(exchanges):
            return verdicts
        cause = f"{guard.info.name}: {len(verdicts)} verdicts on {len(exchanges)} exchanges"
    except Exception as error:
        cause = f"{guard.info.name}: {type(error).__name__}: {error}"
    if len(exchanges) == 1:
        return [Verdict.unassessed(cause)]
    return [verdict for exchange in exchanges for verdict in await judge_safely(guard, [exchange])]
