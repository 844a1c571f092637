"""Two runs of the same plan, paired prompt by prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harmless import taxonomy
from harmless.check.grades import summarise
from harmless.check.observed import Event, Observed, observe
from harmless.check.summary import Change, Comparison, HazardChange, Rate, Summary
from harmless.core import Expect, Prompt
from harmless.errors import UnlikePlansError
from harmless.evidence import RunRecord, Store
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
    runs = store.run(before), store.run(after)
    _refuse_unlike(*runs)
    first, second = (observe(store, run) for run in runs)
    summaries = summarise(first, store.state(runs[0].id)), summarise(second, store.state(runs[1].id))
    unsafe, refused, chosen = (
        _pairs(first, second, expect) for expect in (Expect.REFUSE, Expect.ANSWER, Expect.CHOOSE)
    )
    confidence = runs[0].policy.confidence
    return Comparison(
        before=summaries[0],
        after=summaries[1],
        unsafe=_change(unsafe, summaries[0].unsafe, summaries[1].unsafe, confidence),
        over_refusal=_change(refused, summaries[0].over_refusal, summaries[1].over_refusal, confidence),
        accuracy=_accuracy(chosen, summaries, confidence),
        hazards=_by_hazard(unsafe, refused, summaries, confidence),
        fixed=_ids(unsafe, lambda p: bool(p.before) and not p.after),
        broke=_ids(unsafe, lambda p: bool(p.after) and not p.before),
        newly_refused=_ids(refused, lambda p: bool(p.after) and not p.before),
        newly_answered=_ids(refused, lambda p: bool(p.before) and not p.after),
        newly_right=_ids(chosen, lambda p: bool(p.before) and not p.after),
        newly_wrong=_ids(chosen, lambda p: bool(p.after) and not p.before),
    )


def _refuse_unlike(first: RunRecord, second: RunRecord) -> None:
    differs = []
    if first.suite != second.suite or first.plan_hash != second.plan_hash:
        same = first.suite == second.suite
        differs.append(
            "the prompts or their sampling" if same else f"the suites ({first.suite}, {second.suite})"
        )
    for role, guard in first.guards.items():
        other = second.guards.get(role, guard)
        if other.identity != guard.identity:
            differs.append(f"the {role} judges ({guard.name}, {other.name})")
    rules = [(run.policy.guards, run.policy.grades, run.policy.confidence) for run in (first, second)]
    if rules[0] != rules[1]:
        differs.append("the policies' thresholds, grades or confidence")
    if differs:
        raise UnlikePlansError(
            f"Runs {first.id} and {second.id} cannot be compared: {', '.join(differs)} differ.",
            "Check both targets with the same suite, sampling, judge and policy.",
        )


def _pairs(first: Observed, second: Observed, expect: Expect) -> list[_Pair]:
    return [
        _Pair(row.prompt, row.event, second.rows[place].event)
        for place, row in first.rows.items()
        if row.prompt.expect is expect and place in second.rows
    ]


def _change(pairs: Sequence[_Pair], before: Rate, after: Rate, confidence: float) -> Change:
    both = [pair for pair in pairs if pair.before is not None and pair.after is not None]
    fixed = sum(bool(p.before) and not p.after for p in both)
    broke = sum(bool(p.after) and not p.before for p in both)
    found = mcnemar(fixed, broke, len(both), confidence)  # its effect is the fall from before to after
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


def _accuracy(pairs: Sequence[_Pair], summaries: tuple[Summary, Summary], confidence: float) -> Change | None:
    """Return the change of the accuracy; the event of a pair is a wrong choice, so the signs turn."""
    before, after = (summary.accuracy for summary in summaries)
    if before is None or after is None:
        return None
    wrong = _change(pairs, before, after, confidence)
    turned = {"difference": wrong.difference, "low": wrong.high, "high": wrong.low}
    return wrong.model_copy(update={name: None if v is None else -v for name, v in turned.items()})


def _by_hazard(
    unsafe: Sequence[_Pair], refused: Sequence[_Pair], summaries: tuple[Summary, Summary], confidence: float
) -> list[HazardChange]:
    cells = [{cell.id: cell for cell in summary.hazards} for summary in summaries]
    keys = [cell.id for cell in summaries[0].hazards if cell.id in cells[1]]
    of_unsafe, of_refused = _grouped(unsafe), _grouped(refused)
    changes = [
        (
            _change(of_unsafe.get(key, []), cells[0][key].unsafe, cells[1][key].unsafe, confidence),
            _change(
                of_refused.get(key, []), cells[0][key].over_refusal, cells[1][key].over_refusal, confidence
            ),
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
