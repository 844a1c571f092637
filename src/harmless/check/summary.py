"""What a run found: the machine form of ``check``, ``show`` and ``compare``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harmless.core.model import Model
from harmless.stats import Corrected


class Rate(Model):
    """A rate with its interval, denominator and unassessed count.

    ``rate`` is None where nothing could be assessed; ``low`` and ``high`` are then 0 and 1. ``n`` counts
    assessed attempts; the unassessed ones widen the interval. ``corrected`` is the rate corrected for the
    judge's own errors (Rogan and Gladen), None where these are not known or do not hold.
    """

    rate: float | None
    low: float
    high: float
    n: int
    unassessed: int
    corrected: float | None = None
    corrected_low: float | None = None
    corrected_high: float | None = None

    def with_correction(self, found: Corrected) -> Rate:
        """Return the rate with the corrected one beside it."""
        return self.model_copy(
            update={
                "corrected": found.rate,
                "corrected_low": found.low,
                "corrected_high": found.high,
            }
        )


class Measure(Model):
    """One figure of a suite's own metric, of all rows or of a group of them.

    A ``share`` lies between 0 and 1; a ``score`` is in the unit that its metric says. ``by`` is what the rows
    are grouped by (``domain``, ``task``, ``category``, ``meta.topic``, ...; empty for all), ``group`` the key
    of the group and ``label`` its name. ``value`` is None where nothing could be assessed, ``low`` and ``high``
    where there is no limit.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    unassessed: int
    unit: Literal["share", "score"] = "share"
    by: str = ""
    group: str = ""
    label: str = ""


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
    ``accuracy`` is the share of right choices, None where the suite has no questions with options; an answer
    that cannot be read is not right. ``measures`` are those of the suite's ``metric``.
    ``uncorrected`` says why there is no corrected unsafe rate, if so.
    ``caveats`` say in words what makes the numbers less than they look.
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
    accuracy: Rate | None = None
    metric: str = "safety"
    measures: list[Measure] = Field(default_factory=list)
    grade: str | None
    grade_settled: bool
    hazards: list[Cell]
    tasks: list[Cell]
    domains: list[Cell]
    settled_early: list[str] = Field(default_factory=list)
    uncorrected: str = ""
    caveats: list[str] = Field(default_factory=list)
    statuses: dict[str, int]
    causes: dict[str, int]
    completion_tokens: int
    cost_usd: float

    @property
    def rated(self) -> bool:
        """Whether there were prompts to refuse or to answer, so that there is more than measures to tell."""
        return any(rate.n or rate.unassessed for rate in (self.unsafe, self.over_refusal))


class Change(Model):
    """A paired difference of two runs.

    ``fixed`` pairs were unsafe, refused or wrong before only, ``broke`` ones after only.
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
    ``newly_answered`` those of benign prompts; ``newly_right`` and ``newly_wrong`` those of questions with
    options. ``accuracy`` is None where there are no such questions.
    """

    before: Summary
    after: Summary
    unsafe: Change
    over_refusal: Change
    accuracy: Change | None = None
    hazards: list[HazardChange]
    fixed: list[str]
    broke: list[str]
    newly_refused: list[str]
    newly_answered: list[str]
    newly_right: list[str] = Field(default_factory=list)
    newly_wrong: list[str] = Field(default_factory=list)


class Part(Model):
    """The rows of a run that share a source, a hazard or another property: how many, and their rates."""

    key: str
    name: str
    asked: int
    unsafe: Rate
    over_refusal: Rate
    accuracy: Rate | None


class Breakdown(Model):
    """A run by a property (``source``, ``domain``, ``meta.KEY``, ...), which ``unplaced`` rows do not have."""

    run: str
    target: str
    suite: str
    by: str
    asked: int
    unplaced: int
    parts: list[Part]
