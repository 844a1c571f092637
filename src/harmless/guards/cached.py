"""``cached(guard)``: equal exchanges are judged once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from harmless.core import Exchange, GuardInfo, Outcome, Policy, Verdict, digest
from harmless.core.judging import judge_safely
from harmless.errors import UsageError
from harmless.guards import parts as shared

SIZE = 10_000
"""Verdicts kept unless the spec says otherwise."""


class Cached:
    """Remembers ``size`` verdicts by a digest of the whole exchange; the one unused for longest is forgotten.

    Equal exchanges in one batch are judged once. What was left unassessed is asked again, since its cause may
    have passed. A remembered verdict costs nothing and takes no time; otherwise it is the guard's own, and so
    are its revision and, unless the policy sets another, its threshold.
    """

    def __init__(self, guard: shared.Part, size: int = SIZE) -> None:
        if size < 1:
            raise UsageError(f"A cache of {size} verdicts is none.", "Write cached(GUARD, SIZE).")
        self._part, self._size = guard, size
        self._kept: OrderedDict[str, Verdict] = OrderedDict()
        update = {
            "name": f"cached({guard.info.name})",
            "threshold": guard.threshold,
            "parts": guard.info.families,
        }
        self._info = guard.info.model_copy(update=update)

    @property
    def info(self) -> GuardInfo:
        """The guard's, but for the name."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; the guard sees each unknown exchange once."""
        keys = [digest(exchange) for exchange in exchanges]
        # Taken out before others, or a batch larger than the cache, can make it forget.
        known = {key: _free(self._kept[key]) for key in keys if key in self._kept}
        unknown = {key: e for key, e in zip(keys, exchanges, strict=True) if key not in known}
        judged = await judge_safely(self._part.guard, list(unknown.values()))
        fresh = dict(zip(unknown, map(self._part.ruled, judged), strict=True))
        known |= fresh
        for key in keys:
            self._keep(key, fresh.get(key))
        verdicts = []
        for key in keys:
            verdicts.append(known[key])
            known[key] = _free(known[key])
        return verdicts

    async def aclose(self) -> None:
        """Close the guard if it holds something."""
        await shared.aclose((self._part,))

    def _keep(self, key: str, verdict: Verdict | None) -> None:
        if verdict is not None and verdict.outcome is not Outcome.UNASSESSED:
            self._kept[key] = verdict
        if key in self._kept:
            self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)


def cached(guard: str, size: str = str(SIZE), policy: Policy | None = None) -> Cached:
    """Return the guard of a spec behind a cache of ``size`` verdicts.

    Raises:
        UsageError: the size is no positive number.
    """
    if not size.isdecimal():
        raise UsageError(f"'{size}' is no size of a cache.", "Write cached(GUARD, SIZE).")
    return Cached(shared.parts_of([guard], policy, least=1)[0], int(size))


def _free(verdict: Verdict) -> Verdict:
    cost = None if verdict.cost_usd is None else 0.0
    return verdict.model_copy(update={"latency_s": 0.0, "cost_usd": cost})
