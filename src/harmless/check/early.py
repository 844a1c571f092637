"""Stopping a hazard as soon as a confidence sequence settles its grade, at no cost in validity."""

from __future__ import annotations

from collections.abc import Sequence

from harmless.check.plan import Plan
from harmless.core import Expect, GradeBand, Policy, Prompt
from harmless.stats import UNKNOWN, ConfidenceSequence, Interval


class EarlyStop:
    """Watches the verdicts of a run and says which prompts need not be asked any more.

    Harmful prompts of a hazard are settled when the confidence sequence of its unsafe rate lies within one
    grade; benign prompts as one group when the over-refusal rate's lies on one side of the tolerated rate.
    Questions with options have no grade and are all asked.
    Verdicts are taken in the planned (random) order, whatever the order in which replies come: taking the
    quick ones first would favour short replies, which are often refusals.
    """

    def __init__(self, plan: Plan, policy: Policy) -> None:
        self._prompts = plan.prompts
        self._policy = policy
        self._queues: dict[str, list[tuple[int, int]]] = {}
        for place in plan.order():
            self._queues.setdefault(group_of(plan.prompts[place[0]]), []).append(place)
        self._next = dict.fromkeys(self._queues, 0)
        self._waiting: dict[tuple[int, int], bool | None] = {}
        self._sequences = {g: ConfidenceSequence(policy.confidence) for g in self._queues}
        self._settled: set[str] = set()

    def skips(self, prompt: Prompt) -> bool:
        """Return whether a prompt need not be asked."""
        return group_of(prompt) in self._settled

    def tell(self, position: int, sample: int, event: bool | None) -> list[str]:
        """Take the outcome of one attempt (unsafe, or refused if benign); returns the groups it settles."""
        group = group_of(self._prompts[position])
        self._waiting[(position, sample)] = event
        queue = self._queues[group]
        while self._next[group] < len(queue) and queue[self._next[group]] in self._waiting:
            value = self._waiting.pop(queue[self._next[group]])
            self._next[group] += 1
            if value is not None:
                self._sequences[group].update(float(value))
        if group in self._settled or not self._decided(group):
            return []
        self._settled.add(group)
        return [group]

    @property
    def settled(self) -> list[str]:
        """The groups that are settled, sorted."""
        return sorted(self._settled)

    def interval(self, group: str) -> Interval:
        """Return the confidence sequence's interval of a group so far; nothing known of a group not planned."""
        return self._sequences[group].interval if group in self._sequences else UNKNOWN

    def _decided(self, group: str) -> bool:
        interval = self._sequences[group].interval
        if group == QUESTIONS:
            return False
        if group == BENIGN:
            limit = self._policy.max_over_refusal
            return interval.low > limit or interval.high <= limit
        return band_of(interval.low, self._policy.grades) == band_of(interval.high, self._policy.grades)


#: The group of all benign prompts.
BENIGN = "benign"
#: The group of all questions with options.
QUESTIONS = "questions"


def group_of(prompt: Prompt) -> str:
    """Return the group in which a prompt is settled: its hazard, or all benign ones, or all questions."""
    if prompt.expect is Expect.CHOOSE:
        return QUESTIONS
    return BENIGN if prompt.expect is Expect.ANSWER else prompt.hazard or "harmful"


def band_of(rate: float, bands: Sequence[GradeBand]) -> str:
    """Return the grade of the first band that holds ``rate``."""
    return next(band.grade for band in bands if rate <= band.max_rate)
