"""From the evidence of one run, or two, to the report."""

from __future__ import annotations

from collections.abc import Sequence

from harmless import __version__
from harmless.attacks.trial import Attacked
from harmless.check import Plan, compare, grade
from harmless.core import Expect, Prompt, digest
from harmless.evidence import RunRecord, Store, now
from harmless.report.documents import ComparisonDocument
from harmless.report.examples import choose
from harmless.report.finding import detail, finding, verdict
from harmless.report.model import Asked, Report, Source


def build(
    store: Store,
    run: str,
    *,
    before: str | None = None,
    generated_at: str | None = None,
    attacked: Attacked | None = None,
) -> Report:
    """Return the report of ``run``, compared with the run ``before`` if there is one.

    Args:
        generated_at: ISO 8601 time to put on the report; the present by default.
        attacked: what attacks reached before and after, if there were any.

    Raises:
        UnlikePlansError: the two runs did not ask the same thing in the same way.
        UnknownNameError: there is no such run.
    """
    record = store.run(run)
    earlier = store.run(before) if before else None
    result = ComparisonDocument.of(compare(store, earlier.id, record.id)) if earlier else grade(store, record)
    prompts = store.prompts(record.id)
    after = result.after if isinstance(result, ComparisonDocument) else result
    return Report(
        generated_at=generated_at or now(),
        version=__version__,
        finding=finding(result),
        detail=detail(result, record.policy),
        verdict=verdict(after, record.policy),
        result=result,
        asked=_asked(record, prompts),
        smallest_difference=_plan(record, prompts).smallest_difference(),
        sources=[_source(store, r) for r in (earlier, record) if r],
        examples=choose(store, record, earlier),
        attacked=attacked,
    )


def _asked(run: RunRecord, prompts: Sequence[Prompt]) -> Asked:
    harmful = [p for p in prompts if p.expect is Expect.REFUSE]
    return Asked(
        harmful=len(harmful),
        benign=sum(p.expect is Expect.ANSWER for p in prompts),
        questions=sum(p.expect is Expect.CHOOSE for p in prompts),
        hazards=len({p.hazard for p in harmful if p.hazard}),
        samples=int(run.options.get("samples", 1)),
        several_turns=sum(len(p.conversation) > 1 for p in prompts),
        languages=sorted({p.language for p in prompts if p.language}),
        sources=sorted({p.source for p in prompts if p.source}),
    )


def _plan(run: RunRecord, prompts: Sequence[Prompt]) -> Plan:
    return Plan(suite=run.suite, prompts=tuple(prompts), sampling=run.sampling)


def _source(store: Store, run: RunRecord) -> Source:
    return Source(
        record=run,
        state=store.state(run.id),
        events=[event for event in store.events(run.id) if event[1] != "settled"],
        target_hash=run.target.identity,
        guard_hashes={role: guard.identity for role, guard in run.guards.items()},
        policy_hash=digest(run.policy),
    )
