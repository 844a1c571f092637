"""The crosswalk: there, back, and never more than was there before."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless import taxonomy
from harmless.errors import UnknownNameError, UsageError
from harmless.taxonomy import ALL, INSIDE, Relation, mapping

LEAVES = [leaf.key for leaf in taxonomy.load().leaves]
IDS = taxonomy.crosswalks()
WRITTEN = ("ailuminate_v1", "llama_guard_3", "openai_moderation", "nist_ai_600_1", "owasp_llm_2025")

ids = st.sampled_from(IDS)
leaf_sets = st.sets(st.sampled_from(LEAVES))
relation_sets = st.sets(st.sampled_from(Relation))


def test_every_leaf_has_a_row_for_every_taxonomy_that_is_written_down() -> None:
    rows = mapping._file()["rows"]
    assert list(rows) == LEAVES
    assert all(set(cells) == set(WRITTEN) for cells in rows.values())


def test_no_link_is_lost_or_doubled() -> None:
    assert {id: len(taxonomy.crosswalk(id).links) for id in WRITTEN} == {
        "ailuminate_v1": 60,
        "llama_guard_3": 62,
        "openai_moderation": 55,
        "nist_ai_600_1": 72,
        "owasp_llm_2025": 13,
    }
    for id in IDS:
        pairs = Counter((link.leaf, link.code) for link in taxonomy.crosswalk(id).links)
        assert max(pairs.values()) == 1


@pytest.mark.parametrize("id", IDS)
def test_every_code_of_a_crosswalk_exists_in_its_taxonomy(id: str) -> None:
    codes = {code.code for code in taxonomy.taxonomy(id).codes}
    assert {link.code for link in taxonomy.crosswalk(id).links} <= codes
    assert {link.leaf for link in taxonomy.crosswalk(id).links} <= set(LEAVES)


def test_every_code_of_the_alignment_exists_in_its_taxonomy() -> None:
    for row in mapping._file()["alignment"]["rows"]:
        for id, code in row.items():
            assert taxonomy.taxonomy(id).code(code)


def test_notes_are_on_leaves() -> None:
    assert set(taxonomy.crosswalk("llama_guard_3").notes) < set(LEAVES)


@pytest.mark.parametrize("id", IDS)
def test_back_is_the_exact_inverse_of_to(id: str) -> None:
    walk = taxonomy.crosswalk(id)
    for leaf, code in product(LEAVES, taxonomy.taxonomy(id).codes):
        for relation in Relation:
            there = code.code in {link.code for link in walk.to(leaf, {relation})}
            assert there == (leaf in walk.back(code.code, {relation}))


@pytest.mark.parametrize("id", IDS)
def test_a_code_lies_inside_at_most_one_leaf(id: str) -> None:
    walk = taxonomy.crosswalk(id)
    assert all(len(walk.back(code.code, INSIDE)) <= 1 for code in taxonomy.taxonomy(id).codes)


@given(ids, leaf_sets)
def test_mapping_there_and_back_inside_never_gains_a_leaf(id: str, leaves: set[str]) -> None:
    walk = taxonomy.crosswalk(id)
    codes = {link.code for leaf in leaves for link in walk.to(leaf, INSIDE)}
    returned = {leaf for code in codes for leaf in walk.back(code, INSIDE)}
    assert returned <= leaves
    assert returned == {leaf for leaf in leaves if walk.to(leaf, INSIDE)}


@given(ids, leaf_sets, relation_sets)
def test_mapping_there_and_back_by_any_relations_gains_only_leaves_linked_to_those_codes(
    id: str, leaves: set[str], relations: set[Relation]
) -> None:
    walk = taxonomy.crosswalk(id)
    codes = {link.code for leaf in leaves for link in walk.to(leaf, relations)}
    returned = {leaf for code in codes for leaf in walk.back(code, relations)}
    assert {leaf for leaf in leaves if walk.to(leaf, relations)} <= returned
    assert all(codes & {link.code for link in walk.to(leaf, relations)} for leaf in returned)


def test_the_spine_maps_to_itself() -> None:
    walk = taxonomy.crosswalk("salad_bench")
    assert [[link.code for link in walk.to(leaf)] for leaf in LEAVES] == [[leaf] for leaf in LEAVES]
    assert walk.back("O57") == ("salad.c.O57",)


def test_a_leaf_names_its_primary_code_first_with_relation_and_basis() -> None:
    first, second = taxonomy.crosswalk("llama_guard_3").to("Child Abuse")
    assert (first.code, first.relation) == ("S4", "narrower")
    assert (second.code, second.relation) == ("S1", "broader")
    assert "own judgement" in first.basis


def test_back_of_a_broad_code_names_all_its_leaves_but_none_surely() -> None:
    walk = taxonomy.crosswalk("llama_guard_3")
    assert {"salad.c.O57", "salad.c.O42", "salad.c.O2"} < set(walk.back("S2"))
    assert walk.back("S2", INSIDE) == ()
    assert walk.back("S1", INSIDE) == ("salad.c.O56",)


def test_a_task_has_no_links_of_its_own() -> None:
    assert taxonomy.crosswalk("llama_guard_3").to("salad.t.O14") == ()


def test_seven_leaves_are_beyond_all_three_guard_sets() -> None:
    guards = ("ailuminate_v1", "llama_guard_3", "openai_moderation")
    beyond = set.intersection(*(set(taxonomy.crosswalk(id).uncovered) for id in guards))
    assert {key.split(".")[2] for key in beyond} == {"O18", "O21", "O22", "O29", "O46", "O47", "O48"}


def test_no_leaf_is_uncovered_everywhere() -> None:
    everywhere = set.intersection(*(set(taxonomy.crosswalk(id).uncovered) for id in WRITTEN))
    assert everywhere == set()


@pytest.mark.parametrize(
    ("id", "counts"),
    [
        ("ailuminate_v1", {"exact": 6, "broader": 21, "narrower": 2, "related": 24}),
        ("llama_guard_3", {"exact": 6, "broader": 21, "narrower": 2, "related": 24}),
        ("openai_moderation", {"exact": 4, "broader": 18, "narrower": 1, "related": 24}),
        ("nist_ai_600_1", {"broader": 43, "related": 17}),
        ("owasp_llm_2025", {"broader": 3, "related": 10}),
    ],
)
def test_primary_relations_are_as_counted_by_hand(id: str, counts: dict[str, int]) -> None:
    walk = taxonomy.crosswalk(id)
    primary = Counter(walk.to(leaf)[0].relation.value for leaf in LEAVES if walk.to(leaf))
    assert primary == counts
    assert len(walk.uncovered) == 66 - sum(counts.values())


def test_llama_guard_2_and_3_give_other_numbers_to_the_same_class() -> None:
    assert taxonomy.aligned("S5", "llama_guard_2", "llama_guard_3") == ("S6",)
    assert taxonomy.aligned("S5", "llama_guard_3", "llama_guard_2") == ()


def test_a_wide_class_of_llama_guard_1_is_aligned_with_two() -> None:
    assert taxonomy.aligned("O1", "llama_guard_1", "llama_guard_3") == ("S1", "S10")


def test_a_part_of_a_class_is_aligned_by_itself_or_as_the_whole() -> None:
    assert taxonomy.aligned("spc_ele", "ailuminate_v1", "llama_guard_3") == ("S13",)
    assert taxonomy.aligned("spc_fin", "ailuminate_v1", "llama_guard_3") == ("S6",)


def test_the_alignment_leads_leaves_on_to_other_guard_versions() -> None:
    third, fourth, second = (taxonomy.crosswalk(f"llama_guard_{n}") for n in (3, 4, 2))
    assert [(k.leaf, k.code, k.relation) for k in fourth.links] == [
        (k.leaf, k.code, k.relation) for k in third.links
    ]
    assert [link.code for link in second.to("Hate Speech")] == ["S9"]
    assert "llama_guard_3" in second.basis


def test_links_to_a_loosely_aligned_taxonomy_are_only_related() -> None:
    assert {link.relation for link in taxonomy.crosswalk("llama_guard_1").links} == {Relation.RELATED}


def test_unknown_names_are_errors_with_a_next_step() -> None:
    with pytest.raises(UnknownNameError, match="Unknown taxonomy"):
        taxonomy.crosswalk("lama_guard_3")
    with pytest.raises(UsageError, match=r"no crosswalk to Perspective API.*llama_guard_3"):
        taxonomy.crosswalk("perspective")
    with pytest.raises(UnknownNameError, match="aligned taxonomy"):
        taxonomy.aligned("S1", "llama_guard_3", "wildguard")
    with pytest.raises(UnknownNameError, match="code of llama_guard_3"):
        taxonomy.aligned("S99", "llama_guard_3", "llama_guard_4")
    with pytest.raises(UnknownNameError, match="Unknown hazard"):
        taxonomy.crosswalk("llama_guard_3").to("O61", ALL)
