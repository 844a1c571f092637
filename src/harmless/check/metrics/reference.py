"""Free replies against a reference answer: SimpleQA, WinoBias."""

from __future__ import annotations

from collections.abc import Sequence

from harmless.check.observed import Row
from harmless.check.rates import share
from harmless.check.summary import Measure


def measures(rows: Sequence[Row], confidence: float) -> list[Measure]:
    """Return the share of replies that have the words of a reference in a row, and of those that answer at all.

    No model grades, so a right answer in other words counts as wrong.
    """
    return [
        share("has the reference", rows, lambda row: row.right, confidence),
        share("attempted", rows, lambda row: None if row.refused is None else not row.refused, confidence),
    ]
