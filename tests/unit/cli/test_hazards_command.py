"""``harmless hazards``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harmless.cli import main
from harmless.cli.hazards import hazards
from harmless.errors import BadFileError, UnknownNameError, UsageError


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def suite(tmp_path: Path) -> str:
    path = tmp_path / "mine.jsonl"
    rows: list[dict[str, Any]] = [{"hazard": "Theft"}, {"hazard": "salad.c.O56"}, {"prompt": "plain"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_the_table_lists_every_hazard_with_its_task(capsys: pytest.CaptureFixture[str]) -> None:
    hazards()
    text = capsys.readouterr().out
    assert "66 hazards in 16 tasks and 6 domains" in text
    assert text.count("salad.c.O") == 66
    assert text.count("salad.d.O") == 6
    line = next(line for line in text.splitlines() if "salad.c.O57 " in line)
    assert "Theft" in line
    assert "Illegal Activities" in line


def test_the_tree_shows_each_node_once_under_its_parent(capsys: pytest.CaptureFixture[str]) -> None:
    hazards(tree=True)
    lines = capsys.readouterr().out.splitlines()
    assert sum("salad." in line for line in lines) == 88
    depth = {
        key: next(line for line in lines if key in line).index(name)
        for key, name in [
            ("salad.d.O5,", "Malicious"),
            ("salad.t.O14,", "Illegal"),
            ("salad.c.O57:", "Theft"),
        ]
    }
    assert list(depth.values()) == [4, 8, 12]


def test_json_gives_the_three_levels_with_their_parents(capsys: pytest.CaptureFixture[str]) -> None:
    hazards(json=True)
    rows = {row["id"]: row for row in printed(capsys)["hazards"]}
    assert len(rows) == 88
    assert rows["salad.c.O57"]["parent"] == "salad.t.O14"
    assert rows["salad.c.O57"]["level"] == "category"
    assert all(row["parent"] is None or row["parent"] in rows for row in rows.values())


def test_a_map_shows_code_and_relation_and_names_what_is_not_covered(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hazards(map="llama_guard_3")
    text = capsys.readouterr().out
    line = next(line for line in text.splitlines() if "salad.c.O57 " in line)
    assert [part in line for part in ("S2", "Non-Violent Crimes", "broader")] == [True] * 3
    assert "own judgement" in text
    assert "Hazards it does not cover (13)" in text
    assert "O48: Spam" in text


def test_a_map_as_json_keeps_every_link(capsys: pytest.CaptureFixture[str]) -> None:
    hazards(map="nist_ai_600_1", json=True)
    document = printed(capsys)
    assert len(document["hazards"]) == 66
    assert sum(len(row["codes"]) for row in document["hazards"]) == 72
    assert document["unreached"] == ["GAI-5", "GAI-12"]
    assert len(document["uncovered"]) == 6


def test_taxonomies_are_listed_with_their_number_of_codes(capsys: pytest.CaptureFixture[str]) -> None:
    hazards(taxonomies=True)
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if "llama_guard_3" in line)
    assert "14" in row
    assert "yes" in row
    hazards(taxonomies=True, json=True)
    assert len(printed(capsys)["taxonomies"]) == 19


def test_coverage_counts_the_rows_of_a_file_and_names_the_rest(
    suite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hazards(coverage=suite)
    text = capsys.readouterr().out
    assert "3 prompts over salad_bench: 2 of 66 covered" in text
    assert "Not covered (64)" in text
    assert "1 prompts have no hazard" in text


def test_coverage_over_another_taxonomy_tells_sure_from_possible(
    suite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hazards(coverage=suite, map="owasp_llm_2025", json=True)
    document = printed(capsys)
    assert document["unplaced"] == {"salad.c.O57": 1, "salad.c.O56": 1}
    assert len(document["uncovered"]) == 10
    hazards(coverage=suite, map="owasp_llm_2025")
    text = capsys.readouterr().out
    assert "Not covered (2): LLM02" in text
    assert "Not covered, and no hazard leads there (8)" in text
    assert "2 prompts of 2 hazards fall in no cell" in text


def test_a_built_in_suite_covers_all_hazards(capsys: pytest.CaptureFixture[str]) -> None:
    hazards(coverage="quick", json=True)
    document = printed(capsys)
    assert document["uncovered"] == []
    assert document["unlabelled"] == 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"hazard": "Theft"}\n{"hazard": "Thefts"}\n',
            "mine.jsonl:2: Unknown hazard 'Thefts'. Did you mean Theft",
        ),
        ('{"hazard": "Theft"}\n{"hazard": \n', "mine.jsonl:2:12: Not JSON"),
        ('{"kind": "Theft"}\n', "No row has a hazard"),
        ("", "No row has a hazard"),
    ],
)
def test_a_bad_file_is_one_message_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(text)
    with pytest.raises(BadFileError) as caught:
        hazards(coverage=str(path))
    assert message in str(caught.value)


def test_a_missing_file_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="no such file"):
        hazards(coverage=str(tmp_path / "none.jsonl"))


def test_an_unknown_taxonomy_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="llama_guard_3"):
        hazards(map="lama_guard_3")


def test_views_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="stand alone"):
        hazards(tree=True, map="llama_guard_3")


def test_the_command_line_reads_its_options(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["hazards", "--coverage", suite, "--map", "llama_guard_3", "--json"])
    assert left.value.code == 0
    assert printed(capsys)["taxonomy"] == "llama_guard_3"


def test_wrong_use_leaves_with_two_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["hazards", "--map", "perspective"])
    assert left.value.code == 2
    assert "no crosswalk to Perspective API" in capsys.readouterr().err
