"""The other taxonomies."""

from __future__ import annotations

from collections import Counter

import pytest

from harmless import taxonomy
from harmless.errors import UnknownNameError
from harmless.taxonomy.files import OTHERS

#: How many codes the publishers list.
PUBLISHED = {
    "salad_bench": 66,
    "ailuminate_v1": 12,
    "aws_comprehend_toxicity": 7,
    "beavertails": 14,
    "granite_guardian": 13,
    "llama_guard_1": 6,
    "llama_guard_2": 11,
    "llama_guard_3": 14,
    "llama_guard_4": 14,
    "mistral_moderation": 9,
    "mitre_atlas_subset": 12,
    "mlcommons_v05": 13,
    "nist_ai_600_1": 12,
    "openai_moderation": 13,
    "owasp_llm_2025": 10,
    "perspective": 16,
    "shieldgemma": 4,
    "taming_llms": 19,
    "wildguard": 13,
}
IDS = taxonomy.taxonomies()


def test_the_spine_and_eighteen_others_are_there_with_all_their_codes() -> None:
    assert {id: len(taxonomy.taxonomy(id).codes) for id in IDS} == PUBLISHED
    assert IDS[0] == taxonomy.SPINE


@pytest.mark.parametrize("id", IDS)
def test_a_taxonomy_says_what_it_is_and_where_it_is_from(id: str) -> None:
    found = taxonomy.taxonomy(id)
    assert found.id == id
    assert all((found.name, found.version, found.source))
    assert all(code.name and code.definition for code in found.codes)


@pytest.mark.parametrize("id", IDS)
def test_no_two_codes_of_a_taxonomy_share_a_spelling(id: str) -> None:
    spellings = Counter(s for code in taxonomy.taxonomy(id).codes for s in (code.code, *code.aliases))
    assert max(spellings.values()) == 1


@pytest.mark.parametrize("id", IDS)
def test_groups_are_explained_where_they_are_used(id: str) -> None:
    found = taxonomy.taxonomy(id)
    assert bool(found.grouped_by) == any(code.group for code in found.codes)


def test_a_code_is_found_by_its_aliases() -> None:
    assert taxonomy.taxonomy("ailuminate_v1").code("spc_hlt").code == "spc"
    assert taxonomy.taxonomy("owasp_llm_2025").code("LLM01:2025").name == "Prompt Injection"
    assert taxonomy.taxonomy("salad_bench").code("O57: Theft").code == "salad.c.O57"


def test_a_code_with_commas_is_one_code() -> None:
    name = "drug_abuse,weapons,banned_substance"
    assert taxonomy.taxonomy("beavertails").code(name).code == name


def test_codes_that_no_source_confirms_are_marked() -> None:
    assert not any(code.verified for code in taxonomy.taxonomy("llama_guard_1").codes)
    assert all(code.verified for code in taxonomy.taxonomy("llama_guard_3").codes)


def test_an_unknown_code_and_an_unknown_taxonomy_suggest_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="S1"):
        taxonomy.taxonomy("llama_guard_3").code("S15")
    with pytest.raises(UnknownNameError, match="llama_guard_3"):
        taxonomy.taxonomy("llamaguard3")


def test_a_path_is_not_a_taxonomy() -> None:
    with pytest.raises(UnknownNameError):
        taxonomy.taxonomy("../hazards")


def test_each_file_is_named_after_its_id() -> None:
    assert {path.stem for path in OTHERS.iterdir()} == set(IDS[1:])
