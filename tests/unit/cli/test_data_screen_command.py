"""``harmless data screen``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harmless.cli.data import data

ROWS = [
    {"prompt": "What is the capital of France?", "reply": "Paris."},
    {"prompt": "How do plants eat?", "reply": "I'm sorry, but I can't help with that."},
    {"prompt": "Which tea is green?", "reply": "Sencha\u200b is."},
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def run(*arguments: object) -> int | None:
    code: int | None = data(
        ["screen", *map(str, arguments)], exit_on_error=False, print_error=False, result_action="return_value"
    )
    return code


def test_the_table_counts_reasons_and_shows_no_text(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    assert run(file) == 0
    text = capsys.readouterr().out
    assert "train.jsonl: 3 rows, 1 kept, 2 (66.7%) put aside" in text
    assert "benign-refused" in text
    assert "capital" not in text


def test_the_document_names_rows_and_the_files_hold_all(
    capsys: pytest.CaptureFixture[str], file: Path, tmp_path: Path
) -> None:
    run(file, "--json", "--out", tmp_path / "new")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (found["kept"], found["quarantined"], found["reasons"]) == (1, 2, {"benign-refused": 1, "hidden": 1})
    assert [each["row"] for each in found["quarantine"]] == [2, 3]
    lines = [(tmp_path / "new" / name).read_text().count("\n") for name in ("kept.jsonl", "quarantined.jsonl")]
    assert lines == [1, 2]


def test_a_gate_fails_if_a_row_is_put_aside_for_what_is_not_skipped(
    capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    assert run(file, "--gate") == 1
    assert run(file, "--gate", "--skip", "benign-refused", "--skip", "hidden") == 0
