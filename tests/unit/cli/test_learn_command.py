"""``harmless learn``: files with what was learnt, counts on the terminal, and no text of prompts or replies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harmless.cli import main
from tests.unit.cli.test_failures_command import AIMS, RULES

pytest.importorskip("rensa")


def run(tmp_path: Path, *arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--workspace", str(tmp_path / "w")])
    return int(end.value.code or 0)


@pytest.fixture
def target(tmp_path: Path) -> str:
    path = tmp_path / "rules.jsonl"
    path.write_text("".join(json.dumps(rule) + "\n" for rule in RULES))
    return f"scripted:{path}"


def test_files_are_written_and_harmful_text_is_not_printed(
    tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "attack", target, "--objective", *AIMS, "--attack", "direct", "template(nested_story)")
    capsys.readouterr()
    out = tmp_path / "out"
    assert run(tmp_path, "learn", "--out", str(out)) == 0
    told = capsys.readouterr().out
    assert "regression prompts" in told
    assert "without being caught" not in told
    assert "jewelry" not in told
    assert {path.name for path in out.iterdir()} == {
        "rules.yaml", "rows.jsonl", "preferences.jsonl", "regression.jsonl",
    }  # fmt: skip
    assert run(tmp_path, "learn", "--out", str(out), "--json") == 0
    text = capsys.readouterr().out
    assert "without being caught" not in text
    found = json.loads(text)
    assert found["rules"]["added"] == 0
    assert found["regression"] == found["failures"] == 12
    assert run(tmp_path, "check", target, "--suite", str(out / "regression.jsonl"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["unsafe"]["rate"] == 1.0


def test_what_was_learnt_of_another_run_is_not_replaced(
    tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run(tmp_path, "attack", target, "--objective", *AIMS, "--attack", "template(nested_story)")
    assert run(tmp_path, "learn", "--out", str(out)) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    run(tmp_path, "attack", target, "--objective", *AIMS, "--attack", "direct")
    assert run(tmp_path, "learn", "--out", str(out)) == 2
    assert "holds something else" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_run_without_failures_is_told(
    tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "attack", target, "--objective", "Draw a map", "--attack", "direct")
    assert run(tmp_path, "learn") == 2
    assert "Nothing failed" in capsys.readouterr().err
