"""One report model, from which every format is written."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from harmless.attacks.trial import Attacked
from harmless.check import Summary
from harmless.core import Expect, ReplyStatus
from harmless.core.model import Model
from harmless.evidence import RunRecord
from harmless.report.documents import ComparisonDocument

Status: TypeAlias = Literal["met", "not met", "open", "note"]
Kind: TypeAlias = Literal["fixed", "unsafe", "broke", "wrong", "refused", "unassessed"]


class PolicyCheck(Model):
    """One question that the policy asks of a run, and the answer in one sentence.

    ``open`` means that the interval leaves room for either answer; a ``note`` is no requirement.
    """

    name: str
    status: Status
    text: str


class Said(Model):
    """One reply of an example.

    ``sealed`` text may do harm and is shown on demand only; ``cut`` counts the characters left out.
    """

    status: ReplyStatus
    text: str
    sealed: bool
    cut: int = 0
    score: float | None = None


class Example(Model):
    """One telling prompt with its replies.

    The machine form has the ids and no text: the text stays in the evidence store. ``turns`` counts the
    messages of the conversation, of which ``prompt`` is the last.
    """

    kind: Kind
    prompt_id: str
    sample: int
    hazard: str | None
    expect: Expect
    cause: str = ""
    turns: int = Field(1, exclude=True)
    prompt: str = Field("", exclude=True)
    prompt_sealed: bool = Field(True, exclude=True)
    prompt_cut: int = Field(0, exclude=True)
    before: Said | None = Field(None, exclude=True)
    after: Said | None = Field(None, exclude=True)


class Asked(Model):
    """What the plan asked: numbers of prompts, hazards of the harmful ones, languages and sources.

    ``questions`` have options to choose from.
    """

    harmful: int
    benign: int
    questions: int = 0
    hazards: int
    samples: int
    several_turns: int
    languages: list[str]
    sources: list[str]


class Source(Model):
    """Where the figures of one run come from: its record, state, (time, event, detail) list and hashes."""

    record: RunRecord
    state: str
    events: list[tuple[str, str, str]]
    target_hash: str
    guard_hashes: dict[str, str]
    policy_hash: str


class Report(Model):
    """All that a report says of one run, or of two.

    ``finding`` is the result in one sentence, ``detail`` what it rests on. ``result`` is the document of the
    check or of the comparison. ``sources`` holds the run before (if any) and the run. ``smallest_difference``
    is the fall of the unsafe rate that pairs of this plan show with 80 % power, None if none does. ``attacked``
    is there where ``harmless make`` attacked before and after.
    """

    format: Literal["harmless.report/1"] = "harmless.report/1"
    generated_at: str
    version: str
    finding: str
    detail: str
    verdict: list[PolicyCheck]
    result: ComparisonDocument | Summary
    asked: Asked
    smallest_difference: float | None
    sources: list[Source]
    examples: list[Example]
    attacked: Attacked | None = None

    @property
    def after(self) -> Summary:
        """The summary of the run, or of the later one of two."""
        return self.result if isinstance(self.result, Summary) else self.result.after

    @property
    def before(self) -> Summary | None:
        """The summary of the earlier run, if there is one."""
        return None if isinstance(self.result, Summary) else self.result.before

    @property
    def record(self) -> RunRecord:
        """The record of the run, or of the later one of two."""
        return self.sources[-1].record
