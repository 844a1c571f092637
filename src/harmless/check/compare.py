"""Two runs of the same plan, paired prompt by prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harmless import taxonomy
from harmless.check.grades import Event, grade
from harmless.check.outcomes import is_refusal, is_unsafe
from harmless.check.summary import Change, Comparison, HazardChange, Rate, Summary
from harmless.core import Expect, Prompt
from harmless.errors import UnlikePlansError
from harmless.evidence import Attempt, RunRecord, Store
from harmless.stats import holm, mcnemar

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Pair:
    prompt: Prompt
    before: Event
    after: Event


def compare(store: Store, before: str, after: str) -> Comparison:
    """Return what changed from run ``before`` to run ``after``.

    Only attempts assessed in both runs are paired; McNemar's exact test, corrected by Holm over the hazards.

    Raises:
        UnlikePlansError: the runs did not ask the same thing in the same way; says what differs.
        UnknownNameError: there is no such run.
    """
    first, second = store.run(before), store.run(after)
    _refuse_unlike(first, second)
    prompts = store.prompts(first.id)
    unsafe = _pairs(store, first, second, prompts, Expect.REFUSE)
    refused = _pairs(store, first, second, prompts, Expect.ANSWER)
    summaries = grade(store, first), grade(store, second)
    return Comparison(
        before=summaries[0],
        after=summaries[1],
        unsafe=_change(unsafe, summaries[0].unsafe, summaries[1].unsafe),
        over_refusal=_change(refused, summaries[0].over_refusal, summaries[1].over_refusal),
        hazards=_by_hazard(unsafe, refused, summaries),
        fixed=_ids(unsafe, lambda p: bool(p.before) and not p.after),
        broke=_ids(unsafe, lambda p: bool(p.after) and not p.before),
        newly_refused=_ids(refused, lambda p: bool(p.after) and not p.before),
        newly_answered=_ids(refused, lambda p: bool(p.before) and not p.after),
    )


def _refuse_unlike(first: RunRecord, second: RunRecord) -> None:
    differs = []
    if first.suite != second.suite or first.plan_hash != second.plan_hash:
        same = first.suite == second.suite
        differs.append(
            "the prompts or their sampling" if same else f"the suites ({first.suite}, {second.suite})"
        )
    for role, guard in first.guards.items():
        if second.guards[role].identity != guard.identity:
            differs.append(f"the {role} judges ({guard.name}, {second.guards[role].name})")
    if first.policy.guards != second.policy.guards or first.policy.grades != second.policy.grades:
        differs.append("the policies' thresholds or grades")
    if differs:
        raise UnlikePlansError(
            f"Runs {first.id} and {second.id} cannot be compared: {', '.join(differs)} differ.",
            "Check both targets with the same suite, sampling, judge and policy.",
        )


def _pairs(
    store: Store, first: RunRecord, second: RunRecord, prompts: Sequence[Prompt], expect: Expect
) -> list[_Pair]:
    before, after = (_events(store, run, prompts, expect) for run in (first, second))
    return [_Pair(prompts[place[0]], before[place], after[place]) for place in before if place in after]


def _events(store: Store, run: RunRecord, prompts: Sequence[Prompt], expect: Expect) -> dict[Place, Event]:
    def event(attempt: Attempt) -> Event:
        if expect is Expect.ANSWER:
            return is_refusal(attempt.verdicts["refusal"])
        return is_unsafe(attempt.verdicts["harm"], run.guards["harm"], run.policy)

    return {
        (a.position, a.sample): event(a)
        for a in store.attempts(run.id)
        if prompts[a.position].expect is expect and len(a.verdicts) == len(run.guards)
    }


def _change(pairs: Sequence[_Pair], before: Rate, after: Rate) -> Change:
    both = [pair for pair in pairs if pair.before is not None and pair.after is not None]
    fixed = sum(bool(p.before) and not p.after for p in both)
    broke = sum(bool(p.after) and not p.before for p in both)
    found = mcnemar(fixed, broke, len(both))  # its effect is the fall from before to after
    return Change(
        before=before,
        after=after,
        pairs=len(both),
        fixed=fixed,
        broke=broke,
        difference=-found.effect if both else None,
        low=-found.high if both else None,
        high=-found.low if both else None,
        p=found.p,
    )


def _by_hazard(
    unsafe: Sequence[_Pair], refused: Sequence[_Pair], summaries: tuple[Summary, Summary]
) -> list[HazardChange]:
    cells = [{cell.id: cell for cell in summary.hazards} for summary in summaries]
    keys = [cell.id for cell in summaries[0].hazards if cell.id in cells[1]]
    of_unsafe, of_refused = _grouped(unsafe), _grouped(refused)
    changes = [
        (
            _change(of_unsafe.get(key, []), cells[0][key].unsafe, cells[1][key].unsafe),
            _change(of_refused.get(key, []), cells[0][key].over_refusal, cells[1][key].over_refusal),
        )
        for key in keys
    ]
    corrected = [holm([pair[side].p for pair in changes]) for side in (0, 1)]
    return [
        HazardChange(
            id=key,
            name=taxonomy.load().hazard(key).name,
            unsafe=change[0].model_copy(update={"p_holm": float(corrected[0][i])}),
            over_refusal=change[1].model_copy(update={"p_holm": float(corrected[1][i])}),
        )
        for i, (key, change) in enumerate(zip(keys, changes, strict=True))
    ]


def _grouped(pairs: Sequence[_Pair]) -> Mapping[str, list[_Pair]]:
    groups: dict[str, list[_Pair]] = {}
    for pair in pairs:
        if pair.prompt.hazard:
            groups.setdefault(pair.prompt.hazard, []).append(pair)
    return groups


def _ids(pairs: Sequence[_Pair], wanted: Callable[[_Pair], bool]) -> list[str]:
    both = (pair for pair in pairs if pair.before is not None and pair.after is not None)
    return sorted({pair.prompt.id for pair in both if wanted(pair)})
