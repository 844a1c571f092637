"""``cascade(cheap, expensive, low, high)``: the expensive guard judges only where the cheap one is unsure."""

from __future__ import annotations

from collections.abc import Sequence

from harmless.core import Exchange, GuardInfo, Outcome, Policy, Verdict
from harmless.errors import UsageError
from harmless.guards import parts as shared
from harmless.guards.parts import Part


class Cascade:
    """The cheap guard's verdict where its score is outside the band, the expensive guard's inside it.

    The band is closed, ``low <= score <= high`` in the cheap guard's own scores; with ``low == high`` it is
    empty. What the cheap guard does not see or leaves unassessed goes to the expensive one. What that one
    leaves unassessed stays so: the cheap guard was not sure. Scores are levelled, latency and cost are summed.
    """

    def __init__(self, cheap: Part, expensive: Part, low: float, high: float) -> None:
        if not 0 <= low <= high <= 1:
            raise UsageError(
                f"The band from {low:g} to {high:g} is none.",
                "Write cascade(CHEAP, EXPENSIVE, LOW, HIGH) with 0 <= LOW <= HIGH <= 1.",
            )
        self._cheap, self._expensive, self._low, self._high = cheap, expensive, low, high
        self._info = shared.info_of("cascade", (cheap, expensive), (low, high))

    @property
    def info(self) -> GuardInfo:
        """Name and revision from the parts and the band; sees, hazards and needs of both."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order."""
        first = await self._cheap.judge(exchanges)
        unsure = [i for i, verdict in enumerate(first) if self._unsure(verdict)]
        second = dict(zip(unsure, await self._expensive.judge([exchanges[i] for i in unsure]), strict=True))
        return [self._verdict(verdict, second.get(i)) for i, verdict in enumerate(first)]

    async def aclose(self) -> None:
        """Close the parts that hold something."""
        await shared.aclose((self._cheap, self._expensive))

    def _unsure(self, verdict: Verdict | None) -> bool:
        if verdict is None or verdict.score is None or verdict.outcome is Outcome.UNASSESSED:
            return True
        return self._low < self._high and self._low <= verdict.score <= self._high

    def _verdict(self, first: Verdict | None, second: Verdict | None) -> Verdict:
        said = [
            (each, each.levelled(verdict))
            for each, verdict in ((self._cheap, first), (self._expensive, second))
            if verdict is not None
        ]
        if not said:
            return Verdict.unassessed(f"{self._info.name}: no part judges this side of an exchange")
        last = said[-1][1]
        return shared.merged(said, last.outcome, last.score)


def cascade(cheap: str, expensive: str, low: str, high: str, policy: Policy | None = None) -> Cascade:
    """Return the guard of two guards and a band of the first one's scores.

    Raises:
        UsageError: the band is no pair of numbers between 0 and 1 in order.
    """
    try:
        band = float(low), float(high)
    except ValueError:
        raise UsageError(
            f"'{low}' and '{high}' are no band.", "Write cascade(CHEAP, EXPENSIVE, 0.2, 0.8)."
        ) from None
    first, second = shared.parts_of((cheap, expensive), policy)
    return Cascade(first, second, *band)
