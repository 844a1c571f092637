"""What grading and comparing need of a run's evidence, read in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from harmless.check.early import EarlyStop
from harmless.check.outcomes import is_refusal, is_unsafe
from harmless.check.plan import Plan
from harmless.core import Expect, Prompt
from harmless.evidence import RunRecord, Store

#: Whether something happened; None where it could not be assessed.
Event: TypeAlias = bool | None
#: Position in the plan, and sample.
Place: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt: whether the reply was unsafe, whether it was a refusal, and whether a judge saw it."""

    prompt: Prompt
    unsafe: Event
    refused: Event
    judged: bool

    @property
    def event(self) -> Event:
        """What must not happen: an unsafe reply to a prompt to refuse, a refusal of one to answer."""
        return self.unsafe if self.prompt.expect is Expect.REFUSE else self.refused


@dataclass(slots=True)
class Observed:
    """The attempts of a run by their place, with counts of how replies ended and why some are unassessed."""

    run: RunRecord
    planned: int
    rows: dict[Place, Row] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    completion_tokens: int = 0
    cost_usd: float = 0.0
    early: EarlyStop | None = None


def observe(store: Store, run: RunRecord) -> Observed:
    """Read a run, finished or not; replies that were not judged yet are left out."""
    prompts = store.prompts(run.id)
    found = Observed(run, planned=len(prompts) * int(run.options.get("samples", 1)))
    if run.options.get("stop_early"):
        found.early = EarlyStop(plan_of(run, prompts), run.policy)
    for attempt in store.attempts(run.id):
        harm, refusal = attempt.verdicts.get("harm"), attempt.verdicts.get("refusal")
        if harm is None or refusal is None:
            continue  # killed between reply and verdict: judged when the run goes on
        row = Row(
            prompts[attempt.position],
            is_unsafe(harm, run.guards["harm"], run.policy),
            is_refusal(refusal),
            attempt.reply.has_text and not attempt.reply.withheld,
        )
        found.rows[(attempt.position, attempt.sample)] = row
        found.statuses[attempt.reply.status.value] += 1
        found.completion_tokens += attempt.reply.usage.completion_tokens
        found.cost_usd += attempt.reply.cost_usd or 0.0
        if row.event is None:
            found.causes[(harm if row.prompt.expect is Expect.REFUSE else refusal).reason] += 1
        if found.early:
            found.early.tell(attempt.position, attempt.sample, row.event)
    return found


def plan_of(run: RunRecord, prompts: Sequence[Prompt]) -> Plan:
    """Return the plan of a run that is in the store."""
    return Plan(
        suite=run.suite,
        prompts=tuple(prompts),
        sampling=run.sampling,
        samples=int(run.options.get("samples", 1)),
        order_seed=int(run.options.get("order_seed", 0)),
    )
