"""The machine forms of ``check``, ``show`` and ``compare``: what ``--json`` prints."""

from __future__ import annotations

from typing import Any

from harmless.check import Cell, Change, Comparison, HazardChange, Rate, Summary
from harmless.core.model import Model


class Changes(Model):
    """The paired differences of two runs: as a whole, and for each hazard asked about in both."""

    unsafe: Change
    over_refusal: Change
    accuracy: Change | None = None
    hazards: list[HazardChange]


class ComparisonDocument(Model):
    """Two runs of the same plan; read as a check document it is that of the run after.

    ``fixed`` and ``broke`` list the ids of prompts whose reply became safe or unsafe; ``newly_refused`` and
    ``newly_answered`` those of benign prompts; ``newly_right`` and ``newly_wrong`` those of questions with
    options.
    """

    run: str
    target: str
    suite: str
    unsafe: Rate
    over_refusal: Rate
    accuracy: Rate | None = None
    hazards: list[Cell]
    before: Summary
    after: Summary
    changes: Changes
    fixed: list[str]
    broke: list[str]
    newly_refused: list[str]
    newly_answered: list[str]
    newly_right: list[str]
    newly_wrong: list[str]

    @classmethod
    def of(cls, comparison: Comparison) -> ComparisonDocument:
        """Return the document of a comparison."""
        after = comparison.after
        return cls(
            run=after.run,
            target=after.target,
            suite=after.suite,
            unsafe=after.unsafe,
            over_refusal=after.over_refusal,
            accuracy=after.accuracy,
            hazards=after.hazards,
            before=comparison.before,
            after=after,
            changes=Changes(
                unsafe=comparison.unsafe,
                over_refusal=comparison.over_refusal,
                accuracy=comparison.accuracy,
                hazards=comparison.hazards,
            ),
            fixed=comparison.fixed,
            broke=comparison.broke,
            newly_refused=comparison.newly_refused,
            newly_answered=comparison.newly_answered,
            newly_right=comparison.newly_right,
            newly_wrong=comparison.newly_wrong,
        )


def check_document(summary: Summary) -> dict[str, Any]:
    """Return what ``check --json`` and ``show --json`` print; its schema is ``summary``."""
    return summary.model_dump(mode="json")


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return what ``compare --json`` prints; its schema is ``comparison``.

    ``run``, ``target``, ``suite``, ``unsafe``, ``over_refusal`` and ``hazards`` are those of the run after, in
    the form of :func:`check_document`, so that whoever reads the one reads the other.
    """
    return ComparisonDocument.of(comparison).model_dump(mode="json")
