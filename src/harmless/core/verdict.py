"""What a guard says."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from harmless.core.model import Model, Text


class Outcome(StrEnum):
    """A guard's finding; a failure to judge is UNASSESSED, never safe and never unsafe."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    UNASSESSED = "unassessed"


class Finding(Model):
    """One thing that a guard found.

    ``hazard`` is a key of the taxonomy (``salad.c.O57``, ``salad.t.O14``, ``salad.d.O5``) or None when the
    finding is of no hazard (a secret, an injection); ``rule`` names what matched; ``span`` is
    (start, end) in characters of the judged text (the reply if there is one, else the prompt).
    """

    hazard: str | None = None
    rule: str = ""
    span: tuple[int, int] | None = None
    score: float = Field(1.0, ge=0, le=1)


class Verdict(Model):
    """Outcome, score (0 to 1, higher is riskier), findings and reason of one judgement.

    ``score`` is None only when ``outcome`` is UNASSESSED. ``labels`` holds class probabilities beside the
    score, such as ``refusal`` or ``compliance``. Latency in seconds, cost in US dollars.
    """

    outcome: Outcome
    score: float | None = Field(None, ge=0, le=1)
    findings: tuple[Finding, ...] = ()
    labels: Mapping[str, float] = Field(default_factory=dict)
    reason: Text = ""
    latency_s: float = 0.0
    cost_usd: float | None = None

    @classmethod
    def unassessed(cls, cause: str) -> Verdict:
        """Return the verdict of a guard that could not judge, with its cause."""
        return cls(outcome=Outcome.UNASSESSED, reason=cause)
