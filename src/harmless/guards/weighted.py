"""``weighted(0.7*a, 0.3*b)``: the weighted mean of scores, as they are; calibrate the guards first."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harmless.core import Exchange, GuardInfo, Outcome, Policy, Verdict
from harmless.errors import UsageError
from harmless.guards import parts as shared
from harmless.guards.parts import LEVEL, Part


class Weighted:
    """Unsafe if the weighted mean of the scores is at least 0.5, whatever the parts' own thresholds.

    Weights are shared anew among the parts that see an exchange. What a part leaves unassessed is between 0 and
    1: the outcome is what it is for both, and unassessed if that differs. The score is then the mean with the
    bound that is nearer to 0.5.
    """

    def __init__(self, parts: Sequence[Part], weights: Sequence[float]) -> None:
        self._parts = parts
        self._weights = {id(each): weight for each, weight in zip(parts, weights, strict=True)}
        info = shared.info_of("weighted", parts, list(weights))
        terms = (f"{weight:g}*{each.info.name}" for each, weight in zip(parts, weights, strict=True))
        self._info = info.model_copy(update={"name": f"weighted({', '.join(terms)})"})

    @property
    def info(self) -> GuardInfo:
        """Name and revision from the parts and weights; sees, hazards and needs of all of them."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; the parts judge at the same time."""
        columns = await shared.judge_all(self._parts, exchanges, levelled=False)
        return [self._verdict(said) for said in columns]

    async def aclose(self) -> None:
        """Close the parts that hold something."""
        await shared.aclose(self._parts)

    def _verdict(self, said: Sequence[tuple[Part, Verdict]]) -> Verdict:
        if not said:
            return Verdict.unassessed(f"{self._info.name}: no part judges this side of an exchange")
        low, high = self._mean(said, 0.0), self._mean(said, 1.0)
        if low >= LEVEL:
            return shared.merged(said, Outcome.UNSAFE, low)
        if high < LEVEL:
            return shared.merged(said, Outcome.SAFE, high)
        return shared.merged(said, Outcome.UNASSESSED, None)

    def _mean(self, said: Sequence[tuple[Part, Verdict]], missing: float) -> float:
        weights = [self._weights[id(each)] for each, _ in said]
        scores = [missing if verdict.score is None else verdict.score for _, verdict in said]
        products = math.fsum(weight * score for weight, score in zip(weights, scores, strict=True))
        return min(1.0, products / math.fsum(weights))


def weighted(*terms: str, policy: Policy | None = None) -> Weighted:
    """Return the guard of terms ``WEIGHT*GUARD``.

    Raises:
        UsageError: a term has no positive weight, or there are fewer than two.
    """
    split = [_term(term) for term in terms]
    return Weighted(shared.parts_of([spec for _, spec in split], policy), [weight for weight, _ in split])


def _term(term: str) -> tuple[float, str]:
    number, star, spec = term.partition("*")
    try:
        weight = float(number) if star else math.nan
    except ValueError:
        weight = math.nan
    if not (0 < weight < math.inf):
        raise UsageError(f"'{term}' has no positive weight.", "Write weighted(0.7*rules, 0.3*embedded).")
    return weight, spec.strip()
