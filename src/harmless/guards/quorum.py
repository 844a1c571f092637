"""``any(a, b)``, ``all(a, b)`` and ``vote(a, b, c)``: unsafe if so many of the guards say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harmless.core import Exchange, GuardInfo, Outcome, Policy, Verdict
from harmless.guards import parts as shared
from harmless.guards.parts import Part


class Quorum:
    """Unsafe if at least k of the n guards that see the exchange say so, safe if k can no longer be reached.

    Where neither is settled because guards left the exchange unassessed, so is it. The score is the k-th
    highest of the levelled scores, a missing one counted so that it agrees with the outcome; so it rises with
    each part's score. An exchange that no part sees is unassessed.

    Args:
        kind: its name.
        parts: the guards.
        needed: returns k for n.
    """

    def __init__(self, kind: str, parts: Sequence[Part], needed: Callable[[int], int]) -> None:
        self._parts, self._needed = parts, needed
        self._info = shared.info_of(kind, parts)

    @property
    def info(self) -> GuardInfo:
        """Name and revision from the parts; sees, hazards and needs of all of them."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; the parts judge at the same time."""
        return [self._verdict(said) for said in await shared.judge_all(self._parts, exchanges)]

    async def aclose(self) -> None:
        """Close the parts that hold something."""
        await shared.aclose(self._parts)

    def _verdict(self, said: Sequence[tuple[Part, Verdict]]) -> Verdict:
        if not said:
            return Verdict.unassessed(f"{self._info.name}: no part judges this side of an exchange")
        scores = [verdict.score for _, verdict in said if verdict.score is not None]
        missing, k = len(said) - len(scores), self._needed(len(said))
        unsafe = sum(verdict.outcome is Outcome.UNSAFE for _, verdict in said)
        if unsafe >= k:
            return shared.merged(said, Outcome.UNSAFE, sorted(scores, reverse=True)[k - 1])
        if unsafe + missing < k:
            return shared.merged(said, Outcome.SAFE, sorted(scores, reverse=True)[k - missing - 1])
        return shared.merged(said, Outcome.UNASSESSED, None)


def any_of(*guards: str, policy: Policy | None = None) -> Quorum:
    """Return the guard that is unsafe if one part is, safe only if all are safe, else unassessed."""
    return Quorum("any", shared.parts_of(guards, policy), lambda n: 1)


def all_of(*guards: str, policy: Policy | None = None) -> Quorum:
    """Return the guard that is unsafe only if all parts are, safe if one is safe, else unassessed."""
    return Quorum("all", shared.parts_of(guards, policy), lambda n: n)


def vote(*guards: str, policy: Policy | None = None) -> Quorum:
    """Return the guard of the majority; an even split is unsafe."""
    return Quorum("vote", shared.parts_of(guards, policy), lambda n: (n + 1) // 2)
