"""The rows of the report: every domain, task and hazard with its rates and how they changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harmless import taxonomy
from harmless.check import Cell, Change, HazardChange
from harmless.report.documents import ComparisonDocument
from harmless.report.model import Report
from harmless.stats import holm, mcnemar
from harmless.taxonomy import Hazard, Level

LEVELS = (Level.DOMAIN, Level.TASK, Level.CATEGORY)


@dataclass(frozen=True, slots=True)
class Row:
    """One domain, task or hazard; ``before``, ``after`` and ``change`` are None where it was not asked."""

    hazard: Hazard
    path: tuple[str, ...]
    before: Cell | None
    after: Cell | None
    change: Change | None

    @property
    def unassessed(self) -> int:
        """How many attempts of the later run could not be assessed."""
        return self.after.unsafe.unassessed + self.after.over_refusal.unassessed if self.after else 0


def rows(report: Report) -> dict[str, Row]:
    """Return key -> row of all hazards of all levels, in the taxonomy's order."""
    spine = taxonomy.load()
    after = _cells(report.after.domains, report.after.tasks, report.after.hazards)
    earlier = report.before
    before = _cells(earlier.domains, earlier.tasks, earlier.hazards) if earlier else {}
    changes = (
        _changes(report.result, report.record.policy.confidence)
        if isinstance(report.result, ComparisonDocument)
        else {}
    )
    return {
        hazard.key: Row(
            hazard,
            tuple(above.name for above in reversed(spine.ancestors(hazard.key))),
            before.get(hazard.key),
            after.get(hazard.key),
            changes.get(hazard.key),
        )
        for level in LEVELS
        for hazard in spine.at(level)
    }


def worst_first(found: Iterable[Row]) -> list[Row]:
    """Return the rows that were asked, those that are surely bad first."""

    def badness(row: Row) -> tuple[float, ...]:
        cells = (cell.unsafe for cell in (row.after, row.before) if cell)
        return tuple(-value for rate in cells for value in (rate.low, rate.rate or 0.0))

    return sorted((row for row in found if row.after), key=lambda row: (badness(row), row.hazard.name))


def _cells(*levels: Iterable[Cell]) -> dict[str, Cell]:
    return {cell.id: cell for level in levels for cell in level}


def _changes(result: ComparisonDocument, confidence: float) -> dict[str, Change]:
    """Return key -> change of the unsafe rate; those of tasks and domains are summed up from their hazards."""
    spine = taxonomy.load()
    of_leaf = {change.id: change for change in result.changes.hazards}
    found = {key: change.unsafe for key, change in of_leaf.items()}
    sides = [(s.domains, s.tasks) for s in (result.before, result.after)]
    for level in (0, 1):
        before, after = (_cells(side[level]) for side in sides)
        summed = {
            key: _sum(
                [of_leaf[leaf.key] for leaf in spine.leaves_under(key) if leaf.key in of_leaf],
                before[key],
                cell,
                confidence,
            )
            for key, cell in after.items()
            if key in before
        }
        found |= _adjusted(summed)
    return found


def _sum(changes: Iterable[HazardChange], before: Cell, after: Cell, confidence: float) -> Change:
    parts = [change.unsafe for change in changes]
    pairs, fixed, broke = (sum(getattr(part, name) for part in parts) for name in ("pairs", "fixed", "broke"))
    test = mcnemar(fixed, broke, pairs, confidence)  # its effect is the fall from before to after
    return Change(
        before=before.unsafe,
        after=after.unsafe,
        pairs=pairs,
        fixed=fixed,
        broke=broke,
        difference=-test.effect if pairs else None,
        low=-test.high if pairs else None,
        high=-test.low if pairs else None,
        p=test.p,
    )


def _adjusted(changes: Mapping[str, Change]) -> dict[str, Change]:
    if not changes:
        return {}
    p_values = holm([change.p for change in changes.values()])
    return {
        key: change.model_copy(update={"p_holm": float(p)})
        for (key, change), p in zip(changes.items(), p_values, strict=True)
    }
