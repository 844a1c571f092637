"""One policy for check, guard, gateway and govern."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from harmless.core.model import Model
from harmless.core.verdict import Outcome, Verdict

Action: TypeAlias = Literal["block", "allow"]


class GuardRule(Model):
    """When a guard's score counts as flagged."""

    threshold: float = Field(ge=0, le=1)


class GradeBand(Model):
    """A grade and the highest unsafe rate that still earns it."""

    grade: str
    max_rate: float = Field(ge=0, le=1)


class Policy(Model):
    """Which hazards are refused, thresholds, actions and who signs.

    ``hazards`` lists the taxonomy keys in scope (any level); empty means all. ``guards`` maps a guard's name
    to its rule; a guard without one uses its own default threshold. ``grades`` are the bands from best to
    worst, the last with ``max_rate`` 1; ``refusal_texts`` has the text for a hazard and what is below it, where
    ``refusal_text`` does not do; ``max_over_refusal`` is the tolerated share of refused benign prompts.
    """

    name: str = "default"
    hazards: tuple[str, ...] = ()
    guards: dict[str, GuardRule] = Field(default_factory=dict)
    on_unassessed: Action = "block"
    refusal_text: str = "I can't help with that. If there is a safe way to help, tell me more about your goal."
    refusal_texts: dict[str, str] = Field(default_factory=dict)
    grades: tuple[GradeBand, ...]
    max_over_refusal: float = Field(0.1, ge=0, le=1)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    signed_by: str = ""

    @model_validator(mode="after")
    def _bands_rise_to_one(self) -> Policy:
        rates = [band.max_rate for band in self.grades]
        if not rates or rates != sorted(set(rates)) or rates[-1] != 1:
            raise ValueError("grades must rise in max_rate and end at 1")
        return self

    def flagged(self, guard: str, default_threshold: float, verdict: Verdict) -> bool | None:
        """Return whether ``verdict`` counts as flagged under this policy, None if it is unassessed."""
        if verdict.outcome is Outcome.UNASSESSED or verdict.score is None:
            return None
        rule = self.guards.get(guard)
        return verdict.score >= (rule.threshold if rule else default_threshold)
