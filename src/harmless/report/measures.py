"""The tables of a suite's own measures: of all rows, and for each grouping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harmless.check import Measure, Summary


@dataclass(frozen=True, slots=True)
class MeasureTable:
    """The measures of one grouping; ``by`` is empty for all rows.

    A row has the measure of the run before, if there is one, and of the run; None where it is lacking.
    """

    by: str
    rows: list[tuple[Measure | None, ...]]

    @property
    def noun(self) -> str:
        """What the rows are grouped by, for people."""
        return self.by.removeprefix("meta.").replace("_", " ")

    @property
    def title(self) -> str:
        """A name for the table."""
        return f"Measures by {self.noun}" if self.by else "Measures"


def tables(summaries: Sequence[Summary]) -> list[MeasureTable]:
    """Return the tables of one run, or of two, in the order of the later one's measures."""
    *earlier, last = summaries
    found: dict[str, list[tuple[Measure | None, ...]]] = {}
    before = [{_key(measure): measure for measure in summary.measures} for summary in earlier]
    for measure in last.measures:
        row = (*(known.get(_key(measure)) for known in before), measure)
        found.setdefault(measure.by, []).append(row)
    return [MeasureTable(by, rows) for by, rows in found.items()]


def _key(measure: Measure) -> tuple[str, str, str]:
    return measure.name, measure.by, measure.group
