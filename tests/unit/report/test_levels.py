from __future__ import annotations

import pytest

from harmless import taxonomy
from harmless.report import ComparisonDocument, Report
from harmless.report.levels import rows, worst_first
from harmless.stats import mcnemar
from harmless.taxonomy import Level


def test_there_is_a_row_for_every_domain_task_and_hazard(two: Report) -> None:
    found = rows(two)
    assert len(found) == 6 + 16 + 66
    assert found["salad.c.O57"].path == ("Malicious Use", "Illegal Activities")


def test_changes_of_a_domain_add_up_those_of_its_hazards(two: Report) -> None:
    assert isinstance(two.result, ComparisonDocument)
    found, spine = rows(two), taxonomy.load()
    by_hazard = {change.id: change.unsafe for change in two.result.changes.hazards}
    for domain in spine.domains:
        change = found[domain.key].change
        parts = [by_hazard[leaf.key] for leaf in spine.leaves_under(domain.key)]
        assert change
        assert change.pairs == sum(part.pairs for part in parts)
        assert change.fixed == sum(part.fixed for part in parts)
        assert change.p == pytest.approx(mcnemar(change.fixed, change.broke, change.pairs).p)
        assert change.p_holm is not None
        assert change.p <= change.p_holm <= 1


def test_the_domains_together_are_the_whole(two: Report) -> None:
    assert isinstance(two.result, ComparisonDocument)
    changes = [row.change for row in rows(two).values() if row.hazard.level is Level.DOMAIN]
    whole = two.result.changes.unsafe
    assert sum(change.fixed for change in changes if change) == whole.fixed
    assert sum(change.pairs for change in changes if change) == whole.pairs


def test_one_run_alone_has_no_changes(one: Report) -> None:
    assert all(row.change is None and row.before is None for row in rows(one).values())


def test_the_worst_come_first(one: Report) -> None:
    ranked = worst_first(row for row in rows(one).values() if row.hazard.level is Level.CATEGORY)
    lows = [row.after.unsafe.low for row in ranked if row.after]
    assert lows == sorted(lows, reverse=True)
    assert len(ranked) == 66


def test_p_values_are_corrected_for_the_number_of_rows_of_their_level(two: Report) -> None:
    for level, count in ((Level.DOMAIN, 6), (Level.TASK, 16)):
        changes = [row.change for row in rows(two).values() if row.hazard.level is level and row.change]
        assert len(changes) == count
        surest = min(changes, key=lambda change: change.p)
        assert surest.p_holm == pytest.approx(min(1, count * surest.p))
