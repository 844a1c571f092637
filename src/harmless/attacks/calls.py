"""The calls of a campaign as the evidence has them: by attack and objective, in their order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import NamedTuple, TypeAlias

from harmless.check.outcomes import is_refusal, is_unsafe
from harmless.core import GuardInfo, Policy
from harmless.errors import UsageError
from harmless.evidence import Attempt, RunRecord, Step, Store


class Said(NamedTuple):
    """One call: its reply with the verdicts, and what was said.

    ``success`` says whether the reply was unsafe in view of the objective, None if that is not known.
    """

    attempt: Attempt
    step: Step
    success: bool | None

    @property
    def tokens(self) -> int:
        """Tokens of the prompt and of the reply."""
        usage = self.attempt.reply.usage
        return usage.prompt_tokens + usage.completion_tokens


Cells: TypeAlias = Mapping[int, Sequence[Said]]
"""Place of the objective -> the calls made for it, in their order."""


def campaign_of(store: Store, run: str) -> RunRecord:
    """Return the record of an attack.

    Raises:
        UnknownNameError: there is no such run.
        UsageError: the run is not of an attack.
    """
    record = store.run(run)
    if record.kind != "attack":
        raise UsageError(f"The run {record.id} is a {record.kind}, not an attack.", "See harmless runs.")
    return record


def calls_of(store: Store, run: str) -> dict[str, dict[int, list[Said]]]:
    """Return attack -> objective -> its calls in their order; what was asked anew counts as it went last."""
    record, steps = store.run(run), store.steps(run)
    judge = cache(partial(judge_of, record=record))
    last: dict[tuple[str, int, int], Said] = {}
    for attempt in sorted(store.attempts(run), key=lambda each: each.id):
        step = steps[attempt.id]
        last[step.attack, attempt.position, attempt.sample] = Said(
            attempt, step, _success(attempt, partial(judge, step.attack), record.policy)
        )
    found: dict[str, dict[int, list[Said]]] = defaultdict(lambda: defaultdict(list))
    for (attack, position, _), each in sorted(last.items(), key=lambda item: item[0]):
        found[attack][position].append(each)
    return found


def target_calls(cell: Iterable[Said]) -> list[Said]:
    """Return the calls of the target; the others are those of the model that writes."""
    return [each for each in cell if each.step.role == "target"]


def judge_of(attack: str, record: RunRecord) -> GuardInfo:
    """Return the guard that judged what an attack reached: its own if it brings one."""
    own = next((info.get("judge") for info in record.options["attacks"] if info["name"] == attack), None)
    return GuardInfo.model_validate(own) if own else record.guards["harm"]


def _success(attempt: Attempt, judge: Callable[[], GuardInfo], policy: Policy) -> bool | None:
    verdict = attempt.verdicts.get("harm")
    return None if verdict is None else is_unsafe(verdict, judge(), policy)


def is_refused(attempt: Attempt) -> bool:
    """Return whether the reply was judged to be a refusal."""
    refusal = attempt.verdicts.get("refusal")
    return refusal is not None and bool(is_refusal(refusal))
