"""The catalog: every set loads from a row in its published schema, and says what it must."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harmless import taxonomy
from harmless.core import Expect, Prompt
from harmless.data import Entry, Kind, Labelled, Preference, catalog, entry, load, load_suite
from harmless.data.catalog import FOLDER, HazardOf, families, is_non_commercial
from harmless.data.readers import reader_of
from harmless.errors import UnknownNameError, UsageError
from tests.unit.data.published import row_of

LAYOUTS = [(name, number) for name, each in catalog().items() for number in range(len(each.columns))]
PUBLIC = """
salad_base salad_attack salad_defense salad_mcq hh_harmless hh_helpful hh_red_team truthfulqa truthfulqa_mc1
truthfulqa_mc2 harmbench advbench jailbreakbench jailbreakbench_benign strongreject xstest or_bench_80k
or_bench_hard or_bench_toxic simple_safety_tests ailuminate_demo ai_safety_v05 bbq do_not_answer agentharm
wmdp_bio sorry_bench malicious_instruct alert air_bench in_the_wild wild_jailbreak prompt_injections
bipia_email injecagent tensor_trust_hijacking openai_moderation wildguard_train wildguard_test toxic_chat
beavertails pku_saferlhf aegis2 ultrafeedback halueval_qa simpleqa factscore wiki_bio_hallucination bold
crows_pairs stereoset_inter winobias_pro real_toxicity_prompts toxigen ldnoobw surge_profanity
decodingtrust_enron
"""
ITEMS = {Kind.PROMPTS: Prompt, Kind.LABELLED: Labelled, Kind.PREFERENCES: Preference}


@pytest.mark.parametrize(("name", "number"), LAYOUTS)
def test_a_row_of_every_published_layout_loads(name: str, number: int, tmp_path: Path) -> None:
    wanted = entry(name)
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row_of(wanted, wanted.columns[number])) + "\n")
    found = load(name, path=path)
    assert found.skipped == 0
    for item in found.items:
        assert isinstance(item, ITEMS[wanted.kind])
        assert item.id.startswith(f"{name}:")
        assert item.licence
        assert item.source
        assert item.text or (isinstance(item, Prompt) and item.expect is Expect.CHOOSE and item.options)


@pytest.mark.parametrize("name", [name for name, each in catalog().items() if each.kind is Kind.LABELLED])
def test_every_labelled_set_has_a_label_or_says_that_it_has_another(name: str, tmp_path: Path) -> None:
    wanted = entry(name)
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row_of(wanted, wanted.columns[0])) + "\n")
    labels = {item.unsafe for item in load(name, path=path).items if isinstance(item, Labelled)}
    assert labels <= {True, False, None}
    assert (labels == {None}) == (wanted.metric in ("factscore", "selfcheck"))


@pytest.mark.parametrize("each", catalog().values(), ids=lambda each: each.name)
def test_an_entry_names_only_what_there_is(each: Entry) -> None:
    assert callable(reader_of(each))
    rule = each.hazard
    keys = [rule] if isinstance(rule, str) else list(rule.map.values()) if isinstance(rule, HazardOf) else []
    assert all(taxonomy.load().hazard(key) for key in keys)
    if isinstance(rule, HazardOf) and rule.crosswalk:
        assert rule.crosswalk in taxonomy.crosswalks()
        codes = {
            alias for code in taxonomy.taxonomy(rule.crosswalk).codes for alias in (code.code, *code.aliases)
        }
        assert set(rule.map) <= codes
    assert each.non_commercial == is_non_commercial(each.licence)
    fields = (
        {field for columns in each.columns for field in columns} | set(each.templates) | set(each.constants)
    )
    assert set(each.optional) <= fields
    assert each.expect is not None or each.kind is not Kind.PROMPTS
    assert each.hub is None or each.hub.id or each.hub.files


def test_every_file_of_the_catalog_is_a_family_of_the_index() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {*families(), "index"}


@pytest.mark.parametrize("name", PUBLIC.split())
def test_the_known_public_sets_are_there(name: str) -> None:
    assert entry(name).card.measures


def test_an_unknown_set_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="salad_base"):
        entry("salad_bass")


def test_evaluation_sets_protect_their_rows_and_training_splits_do_not() -> None:
    assert entry("salad_base").protects()
    assert entry("beavertails").protects("30k_test")
    assert not entry("beavertails").protects("30k_train")
    assert not entry("wildguard_train").protects()


@pytest.mark.parametrize(
    ("licence", "forbids"),
    [("CC-BY-NC-4.0", True), ("CC-BY-NC-SA-4.0", True), ("cc-by-4.0", False), ("MIT", False), ("NCSA", False)],
)
def test_non_commercial_licences_are_told_by_their_names(licence: str, forbids: bool) -> None:
    assert is_non_commercial(licence) == forbids


def test_a_prompt_set_is_a_suite_with_its_metric(tmp_path: Path) -> None:
    path = tmp_path / "bbq.jsonl"
    path.write_text(json.dumps(row_of(entry("bbq"), entry("bbq").columns[0])) + "\n")
    suite = load_suite("bbq", path)
    assert (suite.name, suite.metric, suite.source) == ("bbq", "bbq", str(path))


def test_labelled_exchanges_are_no_suite(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "x", "label": 1}) + "\n")
    with pytest.raises(UsageError, match="labelled exchanges, not prompts"):
        load_suite("prompt_injections", path)


def test_a_path_belongs_to_sets_of_the_catalog_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without a path"):
        load_suite("quick", tmp_path / "x.jsonl")
