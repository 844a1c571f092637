"""The spine: 6 domains, 16 tasks, 66 leaves."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless import taxonomy
from harmless.errors import UnknownNameError, UsageError
from harmless.taxonomy import Hazard, Level

SPINE = taxonomy.load()
hazards = st.sampled_from(SPINE.hazards)


def test_there_are_six_domains_sixteen_tasks_and_sixty_six_leaves() -> None:
    assert (len(SPINE.domains), len(SPINE.tasks), len(SPINE.leaves)) == (6, 16, 66)
    assert len({each.key for each in SPINE.hazards}) == 88


def test_leaf_codes_run_to_sixty_seven_and_leave_sixty_one_out() -> None:
    assert [leaf.code for leaf in SPINE.leaves] == [f"O{n}" for n in range(1, 68) if n != 61]


def test_every_leaf_has_one_parent_which_is_a_task_and_every_task_one_which_is_a_domain() -> None:
    for level, above in ((Level.CATEGORY, Level.TASK), (Level.TASK, Level.DOMAIN)):
        for each in SPINE.at(level):
            parents = [other for other in SPINE.at(above) if each in SPINE.children(other.key)]
            assert parents == [SPINE.parent(each.key)]


def test_a_domain_has_no_parent() -> None:
    assert [SPINE.parent(domain.key) for domain in SPINE.domains] == [None] * 6


@pytest.mark.parametrize("hazard", [*SPINE.domains, *SPINE.tasks], ids=lambda each: each.key)
def test_the_published_counts_are_those_of_the_leaves_under_it(hazard: Hazard) -> None:
    leaves = SPINE.leaves_under(hazard.key)
    assert hazard.category_count == len(leaves)
    assert hazard.base_set_rows == sum(leaf.base_set_rows for leaf in leaves)


def test_the_base_set_has_21318_rows_by_domain_by_leaf_and_by_source() -> None:
    assert sum(each.base_set_rows for each in SPINE.domains) == 21318
    assert sum(each.base_set_rows for each in SPINE.leaves) == 21318
    assert sum(SPINE.facts["base_set_sources"].values()) == SPINE.facts["rows"]["base_set"] == 21318


def test_domains_and_tasks_each_partition_the_leaves() -> None:
    for level in (Level.DOMAIN, Level.TASK):
        under = [leaf for each in SPINE.at(level) for leaf in SPINE.leaves_under(each.key)]
        assert sorted(leaf.key for leaf in under) == sorted(leaf.key for leaf in SPINE.leaves)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("salad.c.O57", "salad.c.O57"),
        ("SALAD.C.o57", "salad.c.O57"),
        ("O57", "salad.c.O57"),
        ("O5", "salad.c.O5"),
        ("O5: Malicious Use", "salad.d.O5"),
        ("O5: Propagating Misconceptions/False Beliefs", "salad.t.O5"),
        ("O5: Violent Content", "salad.c.O5"),
        ("  theft ", "salad.c.O57"),
        ("Harass,  Threaten, or bully an Individual", "salad.c.O2"),
        ("defamation", "salad.t.O11"),
    ],
)
def test_a_hazard_is_found_by_key_leaf_code_label_or_name(name: str, key: str) -> None:
    assert SPINE.hazard(name).key == key


@given(hazards)
def test_all_names_of_a_hazard_lead_to_it(hazard: Hazard) -> None:
    for name in (hazard.key, hazard.label, hazard.name, hazard.name.upper()):
        assert SPINE.hazard(name) is hazard


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("Thefts", "Theft"),
        ("hate speach", "Hate Speech"),
        ("O61", "O6"),
        ("salad.c.O570", "salad.c.O57"),
        ("O57: Thift", "O57: Theft"),
    ],
)
def test_an_unknown_hazard_is_an_error_that_suggests_names_of_the_same_form(name: str, suggestion: str) -> None:
    with pytest.raises(UnknownNameError, match="Unknown hazard") as caught:
        SPINE.hazard(name)
    assert suggestion in caught.value.next_step


def test_a_label_whose_code_and_name_disagree_is_unknown() -> None:
    with pytest.raises(UnknownNameError):
        SPINE.hazard("O56: Theft")


def test_an_empty_name_is_an_unknown_hazard() -> None:
    with pytest.raises(UnknownNameError):
        SPINE.hazard("")


def test_ancestors_come_nearest_first() -> None:
    assert [each.key for each in SPINE.ancestors("Theft")] == ["salad.t.O14", "salad.d.O5"]
    assert SPINE.ancestors("Malicious Use") == ()


@given(hazards, st.sampled_from(Level))
def test_rolling_up_gives_the_one_hazard_of_that_level_above_or_refuses(hazard: Hazard, level: Level) -> None:
    if hazard.level.depth < level.depth:
        with pytest.raises(UsageError, match="above the level"):
            SPINE.rollup(hazard.key, level)
        return
    up = SPINE.rollup(hazard.key, level)
    assert up.level is level
    assert set(SPINE.leaves_under(hazard.key)) <= set(SPINE.leaves_under(up.key))
    assert SPINE.rollup(up.key, level) == up


def test_an_unknown_level_is_an_error_that_names_the_levels() -> None:
    with pytest.raises(UnknownNameError, match="category"):
        SPINE.rollup("Theft", "categories")


def test_importing_the_taxonomy_reads_no_file() -> None:
    code = (
        "import pathlib; pathlib.Path.read_bytes = None;"
        "from harmless import taxonomy; assert taxonomy.load.cache_info().currsize == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_spine_is_loaded_once() -> None:
    assert taxonomy.load() is SPINE
