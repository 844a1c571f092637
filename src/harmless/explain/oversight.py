"""One decision of a run taken apart for a reviewer: what was judged, what it hangs on, why to doubt it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from harmless import guards
from harmless.check.observed import row_of
from harmless.core import Conversation, Exchange, GuardInfo, Outcome, Policy, Prompt, ReplyStatus, Verdict
from harmless.core.model import Model
from harmless.errors import HarmlessError, UnknownNameError
from harmless.evidence import Attempt, RunRecord, Store
from harmless.guards.flips import Edit, explain

#: A score so near its threshold is no clear decision.
NEAR = 0.1
#: Edits that each guard judges at most.
CALLS = 200


class Judged(Model):
    """What one guard said. ``edit`` is the change of the judged text that is nearest to flip it; ``note`` says
    why there is none."""

    role: str
    guard: str
    revision: str
    outcome: Outcome
    score: float | None
    threshold: float
    flagged: bool | None
    reason: str
    labels: dict[str, float]
    edit: Edit | None = None
    note: str = ""


class Neighbour(Model):
    """Another attempt that a reviewer compares with: the twin of the prompt, or another sample of it."""

    kind: str
    attempt: int
    expect: str
    event: bool | None


class Decision(Model):
    """One attempt of a run with all that a reviewer needs.

    ``event`` is what must not happen (an unsafe reply to a prompt to refuse, a refusal of one to answer,
    a wrong choice), None where it could not be assessed.
    """

    run: str
    attempt: int
    kind: str
    target: str
    target_revision: str
    suite: str
    policy: str
    sampling: str
    prompt_id: str
    hazard: str | None
    expect: str
    conversation: Conversation
    reply: str
    status: str
    event: bool | None
    judged: tuple[Judged, ...]
    neighbours: tuple[Neighbour, ...]
    doubts: tuple[str, ...]

    @property
    def prompt(self) -> str:
        """The last message of the user."""
        return Exchange(conversation=self.conversation).prompt


async def oversee(store: Store, run: str, attempt: str) -> Decision:
    """Return one decision of a run, taken apart.

    Args:
        store: the evidence.
        run: id of the run, its beginning, or ``latest``.
        attempt: number of the attempt, or id of a prompt (its first sample).

    Raises:
        UnknownNameError: there is no such run or attempt.
    """
    record = store.run(run)
    prompts = store.prompts(record.id)
    attempts = list(store.attempts(record.id))
    found = _find(attempts, prompts, attempt)
    prompt = prompts[found.position]
    step = store.steps(record.id).get(found.id)
    conversation = step.conversation if step else prompt.conversation
    exchange = Exchange(conversation=conversation, reply=found.reply.text if found.reply.has_text else None)
    row = row_of(prompt, found, record.guards, record.policy)
    judged = [
        await _judged(role, record.guards[role], verdict, exchange, record.policy)
        for role, verdict in found.verdicts.items()
        if role in record.guards
    ]
    neighbours = list(_neighbours(record, prompts, attempts, found))
    event = row.event if row else None
    return Decision(
        run=record.id,
        attempt=found.id,
        kind=record.kind,
        target=record.target.name,
        target_revision=record.target.revision,
        suite=record.suite,
        policy=record.policy.name,
        sampling=f"temperature {record.sampling.temperature:g}, at most {record.sampling.max_tokens} tokens",
        prompt_id=prompt.id,
        hazard=prompt.hazard,
        expect=prompt.expect.value,
        conversation=conversation,
        reply=found.reply.text,
        status=found.reply.status.value,
        event=event,
        judged=tuple(judged),
        neighbours=tuple(neighbours),
        doubts=tuple(_doubts(judged, found, neighbours, event)),
    )


def _find(attempts: Sequence[Attempt], prompts: Sequence[Prompt], wanted: str) -> Attempt:
    for each in attempts:
        if wanted in (str(each.id), prompts[each.position].id):
            return each
    first = [f"{each.id} ({prompts[each.position].id})" for each in attempts[:5]]
    raise UnknownNameError("attempt", wanted, first)


async def _judged(role: str, info: GuardInfo, verdict: Verdict, exchange: Exchange, policy: Policy) -> Judged:
    rule = policy.guards.get(info.name)
    edit, note = None, ""
    if verdict.outcome is Outcome.UNASSESSED:
        note = "It could not judge, so no edit was looked for."
    elif info.leaves_machine:
        note = "Text would leave this machine, so no edit was looked for."
    else:
        try:
            guard = guards.load(info.name, policy)
            if guard.info.revision != info.revision:
                note = "It has changed since the run; the edit is of the guard as it is now."
            edit = (await explain(info.name, guard, exchange, policy, CALLS)).edit
        except HarmlessError as error:
            note = f"It cannot be asked again: {error.message}"
    return Judged(
        role=role,
        guard=info.name,
        revision=info.revision,
        outcome=verdict.outcome,
        score=verdict.score,
        threshold=rule.threshold if rule else info.threshold,
        flagged=policy.flagged(info.name, info.threshold, verdict),
        reason=verdict.reason,
        labels=dict(verdict.labels),
        edit=edit,
        note=note,
    )


def _neighbours(
    record: RunRecord, prompts: Sequence[Prompt], attempts: Sequence[Attempt], found: Attempt
) -> Iterator[Neighbour]:
    prompt = prompts[found.position]
    for each in attempts:
        other = prompts[each.position]
        if each.id == found.id:
            continue
        same = each.position == found.position
        if not same and (prompt.pair is None or other.pair != prompt.pair):
            continue
        row = row_of(other, each, record.guards, record.policy)
        yield Neighbour(
            kind="another reply to it" if same else "its twin",
            attempt=each.id,
            expect=other.expect.value,
            event=row.event if row else None,
        )


def _doubts(
    judged: Sequence[Judged], found: Attempt, neighbours: Sequence[Neighbour], event: bool | None
) -> Iterator[str]:
    """Yield what speaks for another decision, in words for a reviewer."""
    if event is None:
        yield "It was not assessed: nothing was decided yet."
    for each in judged:
        if each.score is not None and abs(each.score - each.threshold) < NEAR:
            yield f"{each.guard} is close to its threshold ({each.score:.2f}, threshold {each.threshold:.2f})."
        edit = each.edit
        if edit and edit.flips and len(edit.spans) == 1:
            yield f"{each.guard} hangs on a single word: without “{edit.removed[0]}” it says otherwise."
        close = sorted(value for name, value in each.labels.items() if name in _CLASSES)[::-1]
        if len(close) > 1 and next(a - b for a, b in pairwise(close)) < NEAR:
            yield f"{each.guard} hardly tells two kinds of replies apart here."
        yield from _known_errors(each)
    if found.reply.status is ReplyStatus.TRUNCATED:
        yield "The reply was cut at the limit of tokens: what would have followed was not judged."
    others = {each.event for each in neighbours if each.kind == "another reply to it"}
    if event is not None and (not event) in others:
        yield "Another reply to the same prompt was judged otherwise."
    if event and any(each.event for each in neighbours if each.kind == "its twin"):
        yield "The twin of the prompt went wrong as well: the target may not tell the two apart."


#: Classes of the guard that tells refusals.
_CLASSES = ("refusal", "partial_refusal", "compliance", "off_topic")


def _known_errors(each: Judged) -> Iterator[str]:
    """Yield how often a guard of ours errs, by its own measurement."""
    if each.guard != "judge" or each.flagged is None:
        return
    from harmless.guards.judge import judge

    rates = judge().error_rates
    right, rows = (
        (rates["specificity"], rates["n_safe"]) if each.flagged else (rates["sensitivity"], rates["n_unsafe"])
    )
    kind = "safe ones are called unsafe" if each.flagged else "unsafe ones are let pass"
    yield f"Of replies that people labelled, {1 - right:.0%} of the {kind} by {each.guard} (of {rows:,})."
