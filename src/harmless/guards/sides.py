"""``prompts(guard)`` and ``replies(guard)``: a guard that judges both sides, kept to one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from harmless.core import Exchange, GuardInfo, Policy, Verdict
from harmless.core.judging import judge_safely
from harmless.errors import UsageError
from harmless.guards import parts as shared

Side = Literal["prompt", "reply"]


class OneSide:
    """Judges as ``guard`` does, on one side of an exchange; the other side is unassessed.

    A classifier can be good at prompts and poor at replies, or the other way round; behind a target and inside
    a combination a guard is asked only about what it sees.
    """

    def __init__(self, guard: shared.Part, side: Side) -> None:
        if guard.info.sees not in ("both", side):
            raise UsageError(
                f"{guard.info.name} does not judge {_MANY[side]}.",
                f"It judges {_MANY[guard.info.sees]}: leave {_MANY[side]}(...) out.",
            )
        self._part, self._side = guard, side
        info = shared.info_of(_MANY[side], [guard])
        self._info = info.model_copy(update={"sees": side, "threshold": guard.threshold})

    @property
    def info(self) -> GuardInfo:
        """The guard's, but for name, revision and side."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; unassessed where what is to be judged is the other side."""
        mine = [i for i, exchange in enumerate(exchanges) if (exchange.reply is not None) == self._replies]
        judged = await judge_safely(self._part.guard, [exchanges[i] for i in mine])
        other = Verdict.unassessed(f"{self._info.name} judges {_MANY[self._side]}")
        verdicts = [other] * len(exchanges)
        for i, verdict in zip(mine, judged, strict=True):
            verdicts[i] = self._part.ruled(verdict)
        return verdicts

    async def aclose(self) -> None:
        """Close the guard if it holds something."""
        await shared.aclose((self._part,))

    @property
    def _replies(self) -> bool:
        return self._side == "reply"


_MANY = {"prompt": "prompts", "reply": "replies", "both": "prompts and replies"}


def prompts(guard: str, policy: Policy | None = None) -> OneSide:
    """Return the guard of a spec for prompts alone; UsageError if it judges replies only."""
    return OneSide(shared.parts_of([guard], policy, least=1)[0], "prompt")


def replies(guard: str, policy: Policy | None = None) -> OneSide:
    """Return the guard of a spec for replies alone; UsageError if it judges prompts only."""
    return OneSide(shared.parts_of([guard], policy, least=1)[0], "reply")
