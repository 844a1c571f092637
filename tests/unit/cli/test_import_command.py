"""``harmless import``: other tools' results beside our judgement, and errors that name the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harmless.cli import main
from tests.unit.interop.test_reading import FIXTURES


def run(tmp_path: Path, *arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--workspace", str(tmp_path / "w")])
    return int(end.value.code or 0)


def test_the_document_has_both_opinions_and_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "import", str(FIXTURES / "garak.report.jsonl"), "--json") == 0
    text = capsys.readouterr().out
    assert "jewelry" not in text
    found = json.loads(text)
    assert (found["format"], found["results"]["attacks"][0]["calls"]) == ("garak", 4)
    assert found["rescored"][0]["theirs"]["n"] == 3
    assert run(tmp_path, "show", found["results"]["run"], "--json") == 0


def test_both_opinions_are_in_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "import", str(FIXTURES / "jailbreakbench.json")) == 0
    told = capsys.readouterr().out
    assert "JailbreakBench judged, too" in told
    assert "Left out: 1 x no prompt was found for the goal" in told
    assert "jewelry" not in told


def test_a_damaged_file_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_text((FIXTURES / "garak.report.jsonl").read_text()[:5000])
    assert run(tmp_path, "import", str(path)) == 2
    assert "cut.jsonl:5:" in capsys.readouterr().err


def test_several_targets_have_to_be_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(FIXTURES / "pyrit-0.9.json")
    assert run(tmp_path, "import", file) == 2
    assert "--target NAME" in capsys.readouterr().err
    assert run(tmp_path, "import", file, "--target", "small-model") == 0
