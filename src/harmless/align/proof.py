"""What an alignment did: targets side by side, on the runs of the evidence that asked them the same things."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harmless import attacks
from harmless.align.critique import boilerplate
from harmless.align.refusals import Quality, at_risk, quality
from harmless.check import Change, Measure, Rate, compare, grade
from harmless.check.metrics.perplexity import surprise
from harmless.check.observed import observe, row_of
from harmless.check.rates import rate_of
from harmless.core import Expect
from harmless.core.model import Model
from harmless.errors import UnlikePlansError, UsageError
from harmless.evidence import RunRecord, Store
from harmless.stats import clustered_mean, clustered_rate

TEXT = "perplexity"


class Refusals(Model):
    """What the refusals of harmful prompts are like, by rules; see :mod:`harmless.align.refusals`.

    ``evasive`` ones give neither a reason nor a way on; ``help`` is the share that names help among refusals to
    prompts that somebody in danger may have written.
    """

    reason: Rate
    way_on: Rate
    evasive: Rate
    help: Rate


class Standing(Model):
    """Where one target stands, and what changed from the first target of the comparison.

    ``ordinary`` is over-refusal of the benign prompts that have no hazard, beside that of all.
    ``domains`` are unsafe rates by domain of the taxonomy, ``attacks`` success rates by attack. ``alike`` is
    the share of answers to benign prompts that open with the same four words, a sign of too much training.
    ``perplexity`` is that of plain text and ``surprise`` its relative change; ``accuracy`` the share of right
    choices by suite; ``wins`` the share of benign prompts on which a judge prefers its reply to the first
    target's, a tie counting half. ``on_front``: no other target is at least as harmless and as helpful, and
    better in one of both. What was not measured is None.
    """

    target: str
    runs: tuple[str, ...]
    unsafe: Rate
    over_refusal: Rate
    unsafe_change: Change | None = None
    over_refusal_change: Change | None = None
    ordinary: Rate
    domains: Mapping[str, Rate] = {}
    refusals: Refusals
    alike: float | None = None
    attacks: Mapping[str, Rate] = {}
    perplexity: Measure | None = None
    surprise: Measure | None = None
    accuracy: Mapping[str, Rate] = {}
    accuracy_change: Mapping[str, Change] = {}
    wins: Measure | None = None
    on_front: bool = False


class Proof(Model):
    """Targets on the same plan, the first of which the others are compared with."""

    suite: str
    confidence: float
    standings: tuple[Standing, ...]
    judge: str | None = None

    @property
    def front(self) -> list[Standing]:
        """The targets that no other beats in both, the most helpful last."""
        best = [each for each in self.standings if each.on_front]
        return sorted(best, key=lambda each: -(each.over_refusal.rate or 0.0))


def prove(store: Store, runs: Sequence[str]) -> Proof:
    """Return what the runs show, by target: the first named target is what the others are compared with.

    Every target needs one run of a suite with harmful and benign prompts, the same for all; further runs (of
    the suite ``prose``, of questions with options, or of an attack) are added.

    Raises:
        UnknownNameError: there is no such run.
        UsageError: a run is neither a check nor an attack, a target lacks the run that the others have, or has
            it twice.
        UnlikePlansError: runs did not ask the same thing in the same way.
    """
    by_target: dict[str, list[RunRecord]] = {}
    for name in runs:
        record = store.run(name)
        if record.kind not in ("check", "attack"):
            raise UsageError(f"The run {record.id} is neither a check nor an attack.", "See harmless runs.")
        by_target.setdefault(record.target.identity, []).append(record)
    kinds = [_by_suite(records) for records in by_target.values()]
    if not kinds:
        raise UsageError("No run is named.", "Name a run of each target; see harmless runs.")
    suite = _safety(store, kinds)
    standings = [_standing(store, each, kinds[0], suite) for each in kinds]
    best = _front(standings)
    return Proof(
        suite=suite,
        confidence=kinds[0][suite].policy.confidence,
        standings=tuple(each.model_copy(update={"on_front": i in best}) for i, each in enumerate(standings)),
    )


def _by_suite(records: Sequence[RunRecord]) -> dict[str, RunRecord]:
    found: dict[str, RunRecord] = {}
    for record in records:
        if record.suite in found:
            raise UsageError(
                f"{record.target.name} has two runs of {record.suite}.",
                f"Name either {found[record.suite].id} or {record.id}.",
            )
        found[record.suite] = record
    return found


def _safety(store: Store, kinds: Sequence[Mapping[str, RunRecord]]) -> str:
    """Return the suite with harmful and benign prompts that all targets have a run of."""
    shared = [name for name in kinds[0] if all(name in each for each in kinds)]
    for name in (name for name in shared if kinds[0][name].kind == "check"):
        expected = {prompt.expect for prompt in store.prompts(kinds[0][name].id)}
        if {Expect.REFUSE, Expect.ANSWER} <= expected:
            return name
    raise UsageError(
        "The targets have no suite with harmful and benign prompts in common.",
        "Check every target with the same suite, such as standard, and name those runs.",
    )


def _standing(
    store: Store, runs: Mapping[str, RunRecord], first: Mapping[str, RunRecord], suite: str
) -> Standing:
    record, before = runs[suite], first[suite]
    summary = grade(store, record)
    change = None if record is before else compare(store, before.id, record.id)
    found = Standing(
        target=record.target.name,
        runs=tuple(each.id for each in runs.values()),
        unsafe=summary.unsafe,
        over_refusal=summary.over_refusal,
        unsafe_change=change and change.unsafe,
        over_refusal_change=change and change.over_refusal,
        ordinary=_ordinary(store, record),
        domains={cell.name: cell.unsafe for cell in summary.domains},
        **_replies(store, record),
    )
    for name in (name for name in runs if name != suite):
        found = found.model_copy(update=_kept(store, runs[name], first.get(name), found))
    return found


def _kept(store: Store, run: RunRecord, first: RunRecord | None, known: Standing) -> dict[str, Any]:
    """Return what a further run adds to a standing: success of attacks, perplexity, or accuracy on a task."""
    base = None if first is run else first
    if run.kind == "attack":
        return {"attacks": _success(store, run, base)}
    summary = grade(store, run)
    if summary.metric == TEXT:
        moved = _surprise(store, base, run) if base else None
        return {"perplexity": summary.measures[0], "surprise": moved}
    if summary.accuracy is None:
        return {}
    change = compare(store, base.id, run.id).accuracy if base else None
    return {
        "accuracy": {**known.accuracy, run.suite: summary.accuracy},
        "accuracy_change": {**known.accuracy_change, **({run.suite: change} if change else {})},
    }


def _success(store: Store, run: RunRecord, first: RunRecord | None) -> dict[str, Rate]:
    if first and first.plan_hash != run.plan_hash:
        raise UnlikePlansError(
            f"The attacks of runs {first.id} and {run.id} differ in objectives, attacks or budget.",
            "Attack every target in the same way.",
        )
    return {each.name: each.asr for each in attacks.results(store, run.id).attacks}


def _ordinary(store: Store, record: RunRecord) -> Rate:
    """Return how many benign prompts were refused of those on no hazard's ground."""
    rows = observe(store, record).rows.values()
    plain = [row for row in rows if row.prompt.expect is Expect.ANSWER and row.prompt.hazard is None]
    return rate_of(plain, lambda row: row.refused, record.policy.confidence)


def _replies(store: Store, record: RunRecord) -> dict[str, Any]:
    """Return what the refusals of harmful prompts are like, and how far answers to benign ones open alike."""
    prompts, found, danger, answers = store.prompts(record.id), [], [], []
    for attempt in store.attempts(record.id):
        prompt = prompts[attempt.position]
        row = row_of(prompt, attempt, record.guards, record.policy)
        if row is None or not attempt.reply.has_text:
            continue
        if row.refused and prompt.expect is Expect.REFUSE:
            found.append(quality(attempt.reply.text))
            danger += [found[-1]] if at_risk(prompt.hazard) else []
        elif row.refused is False and prompt.expect is Expect.ANSWER:
            answers.append(attempt.reply.text)
    confidence = record.policy.confidence
    refusals = Refusals(
        reason=_share(found, "reason", confidence),
        way_on=_share(found, "way_on", confidence),
        evasive=_share(found, "evasive", confidence),
        help=_share(danger, "help", confidence),
    )
    return {"refusals": refusals, "alike": boilerplate(answers) if answers else None}


def _share(found: Sequence[Quality], name: str, confidence: float) -> Rate:
    values = np.array([float(getattr(each, name)) for each in found])
    rate = clustered_rate(values, np.arange(len(values)), confidence)
    return Rate(rate=rate.rate if rate.known else None, low=rate.low, high=rate.high, n=rate.n, unassessed=0)


def _surprise(store: Store, before: RunRecord, after: RunRecord) -> Measure:
    """Return the relative change of the perplexity, over the texts that were scored in both runs."""
    if before.plan_hash != after.plan_hash:
        raise UnlikePlansError(f"Runs {before.id} and {after.id} did not score the same texts.")
    sides = [
        {place: found for place, row in observe(store, run).rows.items() if (found := surprise(row))}
        for run in (before, after)
    ]
    shared = [place for place in sides[0] if place in sides[1] and sides[0][place][1] == sides[1][place][1]]
    missing = max(map(len, sides)) - len(shared)
    if not shared:
        return _change(None, None, None, 0, missing)
    moves = np.array([sides[1][place][0] - sides[0][place][0] for place in shared])
    tokens = np.array([sides[0][place][1] for place in shared])
    mean = float(moves.sum() / tokens.sum())
    spread = clustered_mean(
        mean + (moves - mean * tokens) / tokens.mean(), np.arange(len(shared)), before.policy.confidence
    )
    low, high = (math.exp(end) - 1 if math.isfinite(end) else None for end in (spread.low, spread.high))
    return _change(math.exp(mean) - 1, low, high, len(shared), missing)


def _change(value: float | None, low: float | None, high: float | None, n: int, unassessed: int) -> Measure:
    return Measure(name="change of perplexity", value=value, low=low, high=high, n=n, unassessed=unassessed)


def _front(standings: Sequence[Standing]) -> set[int]:
    """Return the places of those that no other beats: as safe and as helpful, and better in one of both."""
    points = [
        (i, each.unsafe.rate, each.over_refusal.rate)
        for i, each in enumerate(standings)
        if each.unsafe.rate is not None and each.over_refusal.rate is not None
    ]
    return {
        i
        for i, unsafe, refused in points
        if not any((a <= unsafe and b <= refused and (a < unsafe or b < refused)) for _, a, b in points)
    }
