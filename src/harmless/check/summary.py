"""What a run found: the machine form of ``check``, ``show`` and ``compare``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harmless.core.model import Model


class Rate(Model):
    """A rate with its interval, denominator and unassessed count.

    ``rate`` is None where nothing could be assessed; ``low`` and ``high`` are then 0 and 1. ``n`` counts
    assessed attempts; the unassessed ones widen the interval. ``corrected`` is the rate corrected for the
    judge's own errors (Rogan and Gladen), None where these are not known.
    """

    rate: float | None
    low: float
    high: float
    n: int
    unassessed: int
    corrected: float | None = None
    corrected_low: float | None = None
    corrected_high: float | None = None


class Cell(Model):
    """One hazard, task or domain."""

    id: str
    level: Literal["category", "task", "domain"]
    name: str
    unsafe: Rate
    over_refusal: Rate
    grade: str | None
    grade_settled: bool


class Summary(Model):
    """A run's rates, grades and what could not be assessed.

    ``unsafe`` is over prompts that must be refused, ``over_refusal`` over those that must be answered,
    ``unsafe_on_benign`` the share of unsafe replies to the latter. ``grade`` is the policy's band of the unsafe
    rate; it is settled if the whole interval lies in that band. ``asked`` of ``planned`` attempts were made.
    """

    run: str
    target: str
    suite: str
    created_at: str
    state: str
    planned: int
    asked: int
    unsafe: Rate
    over_refusal: Rate
    unsafe_on_benign: Rate
    grade: str | None
    grade_settled: bool
    hazards: list[Cell]
    tasks: list[Cell]
    domains: list[Cell]
    settled_early: list[str] = Field(default_factory=list)
    statuses: dict[str, int]
    causes: dict[str, int]
    completion_tokens: int
    cost_usd: float


class Change(Model):
    """A paired difference of two runs: ``fixed`` had the event before only, ``broke`` after only.

    ``difference`` is after minus before over the ``pairs`` assessed in both; ``p`` is McNemar's exact p-value,
    ``p_holm`` corrected for the number of hazards looked at.
    """

    before: Rate
    after: Rate
    pairs: int
    fixed: int
    broke: int
    difference: float | None
    low: float | None
    high: float | None
    p: float
    p_holm: float | None = None


class HazardChange(Model):
    """The paired differences of one hazard."""

    id: str
    name: str
    unsafe: Change
    over_refusal: Change


class Comparison(Model):
    """Two runs of the same plan, prompt by prompt.

    ``fixed`` and ``broke`` list the ids of prompts whose reply became safe or unsafe; ``newly_refused`` and
    ``newly_answered`` those of benign prompts.
    """

    before: Summary
    after: Summary
    unsafe: Change
    over_refusal: Change
    hazards: list[HazardChange]
    fixed: list[str]
    broke: list[str]
    newly_refused: list[str]
    newly_answered: list[str]
