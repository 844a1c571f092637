"""Transfer between targets: what became of the successes of one run that another run said again."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from harmless.attacks.calls import Cells, Said, calls_of, target_calls
from harmless.attacks.reached import origins, outcomes, rate, share
from harmless.attacks.replay import key_of
from harmless.check.summary import Rate
from harmless.core import Conversation, Prompt
from harmless.core.model import Model
from harmless.errors import UnknownNameError
from harmless.evidence import RunRecord, Store
from harmless.stats import paired

_RECORDED = re.compile(r"recorded\((\w+)\)")


class Both(Model):
    """An attack that both runs made, on the objectives that both assessed: ``difference`` is after less before.

    ``p`` is McNemar's exact p-value; ``lost`` objectives were reached before only, ``gained`` ones after only.
    """

    pairs: int
    lost: int
    gained: int
    difference: float
    low: float
    high: float
    p: float


class Transfer(Model):
    """How many successes of the run ``source`` succeed again, against another target or after a defence.

    ``rate`` is over the successful conversations, of which those for one objective are no independent rows;
    ``attacks`` has the rate of those that each attack had found, ``objectives`` is the share of objectives
    that is reached again. Successes are the luckiest of many tries, so that less than all would succeed again
    even with the same target: replay there, too, to know by how much. ``paired`` compares the attacks that
    were made in both runs.
    """

    source: str
    source_target: str
    rate: Rate
    attacks: dict[str, Rate]
    objectives: Rate
    paired: dict[str, Both]


def transfer(store: Store, record: RunRecord) -> Transfer | None:
    """Return what a run says of the successes of the run that it replayed.

    None if it replayed no run, or one that is not in this store.
    """
    names = [str(info["name"]) for info in record.options["attacks"]]
    again = next((match for name in names if (match := _RECORDED.fullmatch(name))), None)
    if again is None:
        return None
    try:
        source = store.run(again[1])
    except UnknownNameError:
        return None
    objectives, made = store.prompts(record.id), calls_of(store, record.id)
    before, again_made = calls_of(store, source.id), made.get(again[0], {})
    found_by = _found_by(store.prompts(source.id), before)
    calls = [(objectives[place], call) for place, cell in again_made.items() for call in target_calls(cell)]
    return Transfer(
        source=source.id,
        source_target=source.target.name,
        rate=_rate(calls, record),
        attacks={
            name: _rate([each for each in calls if name in found_by[_key(*each)]], record)
            for name in sorted({name for each in calls for name in found_by[_key(*each)]})
        },
        objectives=rate(outcomes(again_made), objectives, record.policy.confidence),
        paired=_paired((store.prompts(source.id), before), (objectives, made), record.policy.confidence),
    )


def _found_by(
    objectives: Sequence[Prompt], made: Mapping[str, Cells]
) -> Mapping[tuple[str, Conversation], set[str]]:
    """Return (objective, conversation) -> the attacks that succeeded with it."""
    found: dict[tuple[str, Conversation], set[str]] = defaultdict(set)
    for attack, cells in made.items():
        for place, cell in cells.items():
            for call in target_calls(cell):
                if call.success:
                    found[_key(objectives[place], call)].add(attack)
    return found


def _key(objective: Prompt, call: Said) -> tuple[str, Conversation]:
    return key_of(objective.text), call.step.conversation


def _rate(calls: Sequence[tuple[Prompt, Said]], record: RunRecord) -> Rate:
    events = [call.success for _, call in calls]
    return share(events, origins([objective for objective, _ in calls]), record.policy.confidence)


def _paired(
    before: tuple[Sequence[Prompt], Mapping[str, Cells]],
    after: tuple[Sequence[Prompt], Mapping[str, Cells]],
    confidence: float,
) -> dict[str, Both]:
    """Return attack -> the comparison of the two runs, where both made it on some same objectives."""
    found = {}
    for name in before[1].keys() & after[1].keys():
        first, second = (_events(prompts, made[name]) for prompts, made in (before, after))
        both = [(first[key], second[key]) for key in first.keys() & second.keys()]
        known = [(a, b) for a, b in both if a is not None and b is not None]
        if known:
            old, new = zip(*known, strict=True)
            test = paired(old, new, confidence)
            found[name] = Both(
                pairs=test.n,
                lost=test.only_first,
                gained=test.only_second,
                difference=0.0 - test.effect,
                low=0.0 - test.high,
                high=0.0 - test.low,
                p=test.p,
            )
    return found


def _events(prompts: Sequence[Prompt], cells: Cells) -> dict[str, bool | None]:
    return {key_of(prompts[i].text): each.reached for i, each in outcomes(cells).items()}
