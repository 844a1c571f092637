"""``fallback(a, b)``: the next guard judges what the ones before it left unassessed."""

from __future__ import annotations

from collections.abc import Sequence

from harmless.core import Exchange, GuardInfo, Outcome, Policy, Verdict
from harmless.guards import parts as shared
from harmless.guards.parts import Part, Said


class Fallback:
    """The verdict of the first guard that could judge; unassessed only if none could.

    A guard that does not see this side of an exchange is passed over. Scores are levelled; latency and cost are
    summed over the guards that were asked.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._info = shared.info_of("fallback", parts)

    @property
    def info(self) -> GuardInfo:
        """Name and revision from the parts; sees, hazards and needs of all of them."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; a later guard is asked only for what is left."""
        said: list[Said] = [[] for _ in exchanges]
        left = list(range(len(exchanges)))
        for each in self._parts:
            verdicts = await each.judge([exchanges[i] for i in left])
            for i, verdict in zip(left, verdicts, strict=True):
                if verdict is not None:
                    said[i].append((each, each.levelled(verdict)))
            left = [i for i in left if not said[i] or said[i][-1][1].outcome is Outcome.UNASSESSED]
        return [self._verdict(each) for each in said]

    async def aclose(self) -> None:
        """Close the parts that hold something."""
        await shared.aclose(self._parts)

    def _verdict(self, said: Said) -> Verdict:
        if not said:
            return Verdict.unassessed(f"{self._info.name}: no part judges this side of an exchange")
        last = said[-1][1]
        return shared.merged(said, last.outcome, last.score)


def fallback(*guards: str, policy: Policy | None = None) -> Fallback:
    """Return the guard of a row of guards, the preferred one first."""
    return Fallback(shared.parts_of(guards, policy))
