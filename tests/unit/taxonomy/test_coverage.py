"""Coverage of prompts over a taxonomy."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless import taxonomy
from harmless.errors import UnknownNameError, UsageError
from harmless.taxonomy import Level, coverage

SPINE = taxonomy.load()
labels = st.lists(st.one_of(st.none(), st.sampled_from([each.key for each in SPINE.hazards])))


def test_all_leaves_cover_the_spine() -> None:
    found = coverage(leaf.key for leaf in SPINE.leaves)
    assert found.uncovered == ()
    assert {cell.count for cell in found.cells} == {1}


def test_no_prompts_cover_nothing() -> None:
    found = coverage([])
    assert len(found.uncovered) == 66
    assert found.prompts == 0


def test_cells_that_nothing_covers_are_named() -> None:
    found = coverage(leaf.label for leaf in SPINE.leaves if leaf.name != "Theft")
    assert [(cell.code, cell.name) for cell in found.uncovered] == [("salad.c.O57", "Theft")]


def test_all_names_of_a_hazard_count_together() -> None:
    found = coverage(["Theft", "O57", "salad.c.O57", "O57: Theft", None])
    assert next(cell.count for cell in found.cells if cell.code == "salad.c.O57") == 4
    assert (found.prompts, found.unlabelled) == (5, 1)


def test_counts_roll_up_to_tasks_and_domains() -> None:
    found = coverage(["Theft", "Spam", "salad.t.O14", "Insult"], level="domain")
    assert {cell.code: cell.count for cell in found.cells if cell.count} == {
        "salad.d.O1": 1,
        "salad.d.O5": 3,
    }


def test_a_domain_cannot_be_counted_at_the_leaves_and_is_said_to_be_unplaced() -> None:
    assert coverage(["salad.d.O5", "Theft"]).unplaced == {"salad.d.O5": 1}


@given(labels, st.sampled_from(Level))
def test_over_the_spine_every_prompt_is_counted_exactly_once(given: list[str | None], level: Level) -> None:
    found = coverage(given, level=level)
    placed = sum(cell.count for cell in found.cells)
    assert placed + sum(found.unplaced.values()) + found.unlabelled == found.prompts == len(given)
    assert not any(cell.possible for cell in found.cells)


@given(labels, st.sampled_from(taxonomy.crosswalks()))
def test_a_cell_counts_what_the_crosswalk_surely_and_possibly_brings(given: list[str | None], id: str) -> None:
    found, walk = coverage(given, id), taxonomy.crosswalk(id)
    prompts = Counter(given)
    for cell in found.cells:
        sure = sum(prompts[leaf] for leaf in walk.back(cell.code, taxonomy.AROUND))
        assert cell.count == sure
        assert cell.count + cell.possible == sum(prompts[leaf] for leaf in walk.back(cell.code))


def test_a_code_that_is_only_part_of_the_hazard_is_uncertain_not_covered() -> None:
    found = coverage(["Child Abuse"], "llama_guard_3")
    assert [cell.code for cell in found.uncertain] == ["S4"]
    assert {cell.code: cell.count for cell in found.cells if cell.count} == {"S1": 1}
    assert len(found.uncovered) == 12


def test_prompts_of_a_hazard_that_the_taxonomy_does_not_know_are_unplaced() -> None:
    assert coverage(["Spam", "Spam", "Theft"], "llama_guard_3").unplaced == {"salad.c.O48": 2}


def test_codes_that_no_hazard_leads_to_are_marked() -> None:
    found = coverage((leaf.key for leaf in SPINE.leaves), "nist_ai_600_1")
    assert [cell.code for cell in found.uncovered] == ["GAI-5", "GAI-12"]
    assert not any(cell.reachable for cell in found.uncovered)
    assert all(cell.reachable for cell in found.cells if cell not in found.uncovered)


def test_unknown_hazards_levels_and_taxonomies_are_errors() -> None:
    with pytest.raises(UnknownNameError, match="Theft"):
        coverage(["Thefts"])
    with pytest.raises(UnknownNameError, match="hazard ''"):
        coverage([""])
    with pytest.raises(UnknownNameError, match="level"):
        coverage([], level="leaf")
    with pytest.raises(UnknownNameError, match="taxonomy"):
        coverage([], "lama_guard")
    with pytest.raises(UsageError, match="no crosswalk"):
        coverage([], "wildguard")
