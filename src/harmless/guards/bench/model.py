"""What a guard benchmark finds: one document, whose machine form holds no text of prompts or replies."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from harmless.core import GuardInfo
from harmless.core.model import Model


class Estimate(Model):
    """One measure with its interval.

    ``value``, ``low`` and ``high`` are of the assessed rows; None where a class that it needs is absent, or
    where there are too few origins for an interval. ``worst`` and ``best`` are the value if all unassessed rows
    had been judged wrong, or right.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    worst: float | None = None
    best: float | None = None


class Counts(Model):
    """Rows that the guard was asked about, by label, and what came of them.

    ``unsafe`` and ``safe`` count all of them, ``unassessed`` those that could not be judged; the other four
    count the assessed ones by decision.
    """

    unsafe: int = 0
    safe: int = 0
    unassessed: int = 0
    true_positive: int = 0
    false_positive: int = 0
    true_negative: int = 0
    false_negative: int = 0

    @property
    def rows(self) -> int:
        """All rows that the guard was asked about."""
        return self.unsafe + self.safe


class Slice(Model):
    """The rows of one hazard, code or source; ``key`` is that of the taxonomy where it has one."""

    key: str
    name: str
    level: str
    counts: Counts
    measures: Mapping[str, Estimate]


class Quantiles(Model):
    """Seconds a call took: mean, median, 95th and 99th percentile of ``n`` calls of ``rows`` rows each."""

    n: int
    rows: int
    mean: float
    p50: float
    p95: float
    p99: float


class Effort(Model):
    """What judging took.

    ``first_s`` is the first call, which may load a model; it is in no other figure. ``single`` are calls of one
    row, ``batched`` calls of as many as suit the guard; ``rows_per_s`` is the throughput of the latter.
    ``peak_mb`` is how far the memory of this process rose above what it was before the guard's first call,
    measured as ``memory`` says; what a server elsewhere takes is not in it. ``cost_usd`` is for all rows,
    None where no verdict told; ``cost_per_1000`` for a thousand rows.
    """

    first_s: float | None = None
    single: Quantiles | None = None
    batched: Quantiles | None = None
    rows_per_s: float | None = None
    peak_mb: float | None = None
    memory: str = ""
    cost_usd: float | None = None
    cost_per_1000: float | None = None


class Bin(Model):
    """One bin of the reliability diagram: its rows, their mean score, the share that is unsafe."""

    rows: int
    score: float
    unsafe: float


class Kept(Model):
    """One transform of the prompts, on ``rows`` of them.

    ``recall`` and ``fpr`` are with the transform, ``recall_before`` and ``fpr_before`` of the same prompts as
    they were; ``kept`` is the share of the unsafe prompts flagged before that still are.
    """

    transform: str
    rows: int
    unassessed: int
    recall_before: float | None
    recall: Estimate
    kept: Estimate
    fpr_before: float | None
    fpr: Estimate


class GuardResult(Model):
    """One guard on all rows that it can judge.

    ``spec`` is how it was named; ``info`` what it says of itself; ``threshold`` the policy's or its own.
    ``unseen`` rows are of a side it does not judge. ``reached`` is False where nothing could be assessed.
    ``curve`` holds points (false-positive rate, recall) of the ROC curve. ``causes`` says why rows are
    unassessed.
    """

    spec: str
    info: GuardInfo | None = None
    threshold: float | None = None
    unseen: int = 0
    reached: bool = True
    counts: Counts = Counts()
    measures: Mapping[str, Estimate] = Field(default_factory=dict)
    hazards: tuple[Slice, ...] = ()
    sources: tuple[Slice, ...] = ()
    effort: Effort = Effort()
    reliability: tuple[Bin, ...] = ()
    curve: tuple[tuple[float, float], ...] = ()
    robustness: tuple[Kept, ...] = ()
    causes: Mapping[str, int] = Field(default_factory=dict)


class Pair(Model):
    """Two guards on the ``rows`` that both assessed.

    ``only_first`` and ``only_second`` count the rows that one of them alone judged right; ``p`` is McNemar's
    exact two-sided p-value of these, ``p_holm`` corrected for all pairs. The differences are first less
    second; their intervals are of a bootstrap that draws the same origins for both, as is ``p_auroc``.
    ``kappa`` is Cohen's, of the decisions; ``agree`` the share of equal ones.
    """

    first: str
    second: str
    rows: int
    only_first: int
    only_second: int
    p: float
    p_holm: float
    accuracy: Estimate
    auroc: Estimate
    p_auroc: float | None
    p_auroc_holm: float | None
    agree: float | None
    kappa: float | None


class Step(Model):
    """A cascade with one band: ``escalated`` is the share of rows that the expensive guard judges.

    The band is of the cheap guard's scores, both ends in it, as ``cascade(CHEAP, EXPENSIVE, LOW, HIGH)`` takes
    it; None where nothing is escalated. ``seconds`` and ``cost_usd`` are of a row on average: the cheap
    guard's, and the expensive one's for the share that it judges; None where not known.
    """

    escalated: float
    low: float | None
    high: float | None
    measures: Mapping[str, Estimate]
    seconds: float | None
    cost_usd: float | None


class Cascading(Model):
    """What a cascade of two guards costs and gives, from the cheap one alone to the expensive one alone.

    Of the ``rows`` that both assessed. The bands are fitted to nothing but shares, the figures are still of the
    rows on which one would choose a band: choose on one set, report on another.
    """

    cheap: str
    expensive: str
    rows: int
    steps: tuple[Step, ...]


class Judged(Model):
    """What one guard made of one row: its score and decision, None if unassessed."""

    score: float | None
    flagged: bool | None


class Contested(Model):
    """A row that guards disagree on or that one got wrong; ``said`` maps the guard's spec to its judgement."""

    id: str
    unsafe: bool
    hazard: str | None
    source: str
    said: Mapping[str, Judged]

    @property
    def disagree(self) -> bool:
        """Whether some guards flagged it and others did not."""
        return len({each.flagged for each in self.said.values()} - {None}) > 1

    @property
    def wrong(self) -> tuple[str, ...]:
        """The guards whose decision is not the label."""
        return tuple(s for s, each in self.said.items() if each.flagged not in (None, self.unsafe))


class Data(Model):
    """What was judged: ``skipped`` rows had no label; ``origins`` are the clusters of rows."""

    name: str
    origin: str
    rows: int
    skipped: int
    unsafe: int
    safe: int
    replies: int
    origins: int
    sources: Mapping[str, int]
    licences: Mapping[str, int]


class Settings(Model):
    """How it was measured."""

    seed: int = 0
    resamples: int = 1000
    confidence: float = 0.95
    policy: str = "default"
    taxonomy: str = "salad_bench"
    limit: int | None = None
    robust: int | None = None
    cascade: bool = False


class Bench(Model):
    """A guard benchmark: the data, each guard, each pair of guards, the rows in dispute."""

    version: str
    made_at: str
    data: Data
    settings: Settings
    guards: tuple[GuardResult, ...]
    pairs: tuple[Pair, ...]
    contested: tuple[Contested, ...]
    cascades: tuple[Cascading, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def unreached(self) -> tuple[GuardResult, ...]:
        """The guards that could not be reached."""
        return tuple(each for each in self.guards if not each.reached)
