"""Where more budget pays most: hazards whose objectives still give in when an attack goes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from harmless import taxonomy
from harmless.attacks.calls import Cells, calls_of, campaign_of, target_calls
from harmless.attacks.reached import outcomes
from harmless.core.model import Model
from harmless.evidence import Store
from harmless.stats import binomial

#: Calls whose yield is told.
NEXT = 100
#: Calls that what is known of all hazards counts for, beside those of the hazard itself.
_PRIOR = 20


class Payoff(Model):
    """What the next 100 calls for a hazard would reach.

    ``open`` objectives were not reached by any attack. ``late`` calls are those of the second half of what an
    attack made for one objective at most, ``found`` the successes among them; ``rate`` is their share with its
    limits, drawn to that of all hazards where calls are few. ``gain`` is the expected number of further
    objectives: what an attack learns on the way, and that the easy ones go first, is not in it.
    """

    hazard: str
    name: str
    open: int
    late: int
    found: int
    rate: float
    low: float
    high: float
    gain: float


class _Late(NamedTuple):
    calls: int = 0
    found: int = 0


def payoff(store: Store, run: str) -> list[Payoff]:
    """Return the hazards with open objectives, those where more budget pays most first.

    Attacks that ask once, and hazards without late calls, say nothing and are left out.
    """
    record = campaign_of(store, run)
    objectives, made = store.prompts(record.id), calls_of(store, record.id)
    reached = {place for cells in made.values() for place, each in outcomes(cells).items() if each.reached}
    late, still = _late(made, [each.hazard for each in objectives]), defaultdict[str, int](int)
    for place, objective in enumerate(objectives):
        if place not in reached and objective.hazard:
            still[objective.hazard] += 1
    calls = sum(each.calls for each in late.values())
    usual = sum(each.found for each in late.values()) / calls if calls else 0.0
    rows = [
        _row(hazard, still[hazard], each, usual, record.policy.confidence)
        for hazard, each in late.items()
        if still[hazard]
    ]
    return sorted(rows, key=lambda row: (-row.gain, -row.high, row.hazard))


def _late(made: Mapping[str, Cells], hazards: list[str | None]) -> dict[str, _Late]:
    found: dict[str, _Late] = defaultdict(_Late)
    for cells in made.values():
        half = max((len(target_calls(cell)) for cell in cells.values()), default=0) // 2
        for place, cell in cells.items():
            late = target_calls(cell)[half:] if half else []
            hazard = hazards[place]
            if late and hazard:
                calls, successes = found[hazard]
                wins = sum(bool(call.success) for call in late)
                found[hazard] = _Late(calls + len(late), successes + wins)
    return found


def _row(hazard: str, still: int, late: _Late, usual: float, confidence: float) -> Payoff:
    rate = (late.found + usual * _PRIOR) / (late.calls + _PRIOR)
    limits = binomial(late.found, late.calls, confidence)
    return Payoff(
        hazard=hazard,
        name=taxonomy.load().hazard(hazard).name,
        open=still,
        late=late.calls,
        found=late.found,
        rate=rate,
        low=min(limits.low, rate),
        high=max(limits.high, rate),
        gain=min(NEXT * rate, still),
    )
