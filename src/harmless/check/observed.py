"""What grading and comparing need of a run's evidence, read in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from harmless.check.early import EarlyStop
from harmless.check.outcomes import CHOICE, RULE, is_refusal, roles_of, unsafe_of
from harmless.check.plan import Plan
from harmless.core import Expect, GuardInfo, Outcome, Policy, Prompt, Verdict
from harmless.errors import UsageError
from harmless.evidence import Attempt, RunRecord, Store

#: Whether something happened; None where it could not be assessed.
Event: TypeAlias = bool | None
#: Position in the plan, and sample.
Place: TypeAlias = tuple[int, int]

_DECIDING = {Expect.REFUSE: "harm", Expect.ANSWER: "refusal", Expect.CHOOSE: CHOICE}


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt: whether the reply was unsafe, whether it was a refusal, and whether a judge saw it.

    ``verdicts`` has those of all roles; a metric of a suite reads its figures from them.
    """

    prompt: Prompt
    unsafe: Event
    refused: Event
    judged: bool
    verdicts: Mapping[str, Verdict]

    @property
    def right(self) -> Event:
        """Whether the right options were chosen; an answer that cannot be read is not right."""
        verdict = self.verdicts.get(CHOICE)
        if verdict is None or not (verdict.labels and self.prompt.correct):
            return None
        return bool(verdict.labels.get("right"))

    @property
    def event(self) -> Event:
        """What must not happen: an unsafe reply to a prompt to refuse, a refusal, a wrong choice."""
        if self.prompt.expect is Expect.CHOOSE:
            return None if self.right is None else not self.right
        return self.unsafe if self.prompt.expect is Expect.REFUSE else self.refused

    @property
    def deciding(self) -> Verdict:
        """The verdict that the event rests on."""
        role = _DECIDING[self.prompt.expect]
        return self.verdicts[role if role in self.verdicts else RULE]

    @property
    def unassessed(self) -> str | None:
        """Why the reply could not be assessed, None if it could."""
        return self.deciding.reason if self.deciding.outcome is Outcome.UNASSESSED else None


def row_of(prompt: Prompt, attempt: Attempt, guards: Mapping[str, GuardInfo], policy: Policy) -> Row | None:
    """Return the row of an attempt, None if it has not been judged in all roles yet."""
    verdicts = attempt.verdicts
    if any(role not in verdicts for role in roles_of(prompt)):
        return None
    return Row(
        prompt,
        unsafe_of(prompt, verdicts, guards, policy),
        is_refusal(verdicts["refusal"]) if "refusal" in verdicts else None,
        "harm" in verdicts and attempt.reply.has_text and not attempt.reply.withheld,
        verdicts,
    )


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
    """Read a run, finished or not; replies that were not judged yet are left out.

    Raises:
        UsageError: the run is of another kind, whose attempts have another meaning.
    """
    if run.kind != "check":
        article = "an" if run.kind[0] in "aeiou" else "a"
        raise UsageError(f"The run {run.id} is {article} {run.kind}, not a check.", "See: harmless runs")
    prompts = store.prompts(run.id)
    found = Observed(run, planned=len(prompts) * int(run.options.get("samples", 1)))
    if run.options.get("stop_early"):
        found.early = EarlyStop(plan_of(run, prompts), run.policy)
    for attempt in store.attempts(run.id):
        row = row_of(prompts[attempt.position], attempt, run.guards, run.policy)
        if row is None:
            continue  # killed between reply and verdict: judged when the run goes on
        found.rows[(attempt.position, attempt.sample)] = row
        found.statuses[attempt.reply.status.value] += 1
        found.completion_tokens += attempt.reply.usage.completion_tokens
        found.cost_usd += attempt.reply.cost_usd or 0.0
        if row.unassessed is not None:
            found.causes[row.unassessed] += 1
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
        likelihood=bool(run.options.get("likelihood")),
        metric=str(run.options.get("metric", "safety")),
    )
