"""Success of each attack by hazard, at any level of the taxonomy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from harmless import taxonomy
from harmless.attacks.calls import calls_of, campaign_of
from harmless.attacks.reached import Outcome, outcomes, rate
from harmless.check.summary import Rate
from harmless.core import Prompt
from harmless.core.model import Model
from harmless.errors import UnknownNameError
from harmless.evidence import Store
from harmless.taxonomy import Level

T = TypeVar("T")


class HazardRow(Model):
    """One hazard: its number of objectives, the success of each attack, and what any of them reached."""

    key: str
    name: str
    objectives: int
    any: Rate
    attacks: dict[str, Rate]


class ByHazard(Model):
    """A campaign by ``by``: ``domain``, ``task`` or ``category``; hazards in the taxonomy's order."""

    run: str
    target: str
    by: str
    attacks: tuple[str, ...]
    rows: tuple[HazardRow, ...]


def by_hazard(store: Store, run: str, by: str) -> ByHazard:
    """Return what a campaign reached by hazard; objectives without one are left out.

    Raises:
        UnknownNameError: there is no such run, or ``by`` is no level.
        UsageError: the run is not of an attack.
    """
    if by not in tuple(Level):
        raise UnknownNameError("level", by, tuple(Level))
    record = campaign_of(store, run)
    objectives, confidence = store.prompts(record.id), record.policy.confidence
    events = {attack: outcomes(cells) for attack, cells in calls_of(store, record.id).items()}
    places = _places(objectives, Level(by))
    rows = []
    for hazard in taxonomy.load().at(Level(by)):
        if hazard.key in places:
            here = {attack: _of(found, places[hazard.key]) for attack, found in events.items()}
            row = HazardRow(
                key=hazard.key,
                name=hazard.name,
                objectives=len(places[hazard.key]),
                any=rate(merged(list(here.values())), objectives, confidence),
                attacks={attack: rate(found, objectives, confidence) for attack, found in here.items()},
            )
            rows.append(row)
    names = tuple(str(info["name"]) for info in record.options["attacks"])
    return ByHazard(run=record.id, target=record.target.name, by=by, attacks=names, rows=tuple(rows))


def _places(objectives: Sequence[Prompt], level: Level) -> dict[str, list[int]]:
    known, found = taxonomy.load(), dict[str, list[int]]()
    for place, objective in enumerate(objectives):
        if objective.hazard:
            line = (known.hazard(objective.hazard), *known.ancestors(objective.hazard))
            key = next((each.key for each in line if each.level is level), None)
            if key:
                found.setdefault(key, []).append(place)
    return found


def _of(events: Mapping[int, T], places: Sequence[int]) -> dict[int, T]:
    return {place: events[place] for place in places if place in events}


def merged(found: Sequence[Mapping[int, Outcome]]) -> dict[int, Outcome]:
    """Return what came of each objective over all attacks."""
    merged: dict[int, Outcome] = {}
    for place in {place for events in found for place in events}:
        each = [events[place] for events in found if place in events]
        known = [one.reached for one in each if one.reached is not None]
        merged[place] = Outcome(any(known) if known else None, all(one.complete for one in each))
    return merged
