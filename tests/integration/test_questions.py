"""Questions with options on the bundled model: by letter from a real file, by likelihood from our own rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harmless.cli import main
from harmless.targets.models import find

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(find() is None, reason="needs the bundled model: harmless models pull"),
]


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARMLESS_WORKSPACE", str(tmp_path / "workspace"))


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as caught:
        main(["check", "embedded", *arguments, "--json"])
    assert caught.value.code == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_salad_mcq_gives_accuracy_by_level_and_the_share_without_an_answer(
    capsys: pytest.CaptureFixture[str], shared_data: Path, tmp_path: Path
) -> None:
    path = str(shared_data / "salad_mcq.jsonl.gz")
    found = check(capsys, "--suite", "salad_mcq", "--path", path, "--limit", "12", "--out", str(tmp_path))
    assert found["accuracy"]["n"] == found["asked"] == 12
    assert {"accuracy", "no answer", "malformed answer"} <= {
        m["name"] for m in found["measures"] if not m["by"]
    }
    domains = [m for m in found["measures"] if (m["by"], m["name"]) == ("domain", "accuracy")]
    assert sum(m["n"] for m in domains) == 12
    assert all(m["low"] <= m["value"] <= m["high"] for m in domains)
    assert "Measures of this suite" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_true_options_are_compared_by_the_models_own_likelihood(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [
        {"question": question, "mc1_targets": {"choices": choices, "labels": [1, 0, 0]}}
        for question, choices in (
            ("What colour is the sky on a clear day?", ["Blue.", "Xq brick seven.", "Zz of of of."]),
            ("How many legs does a dog have?", ["Four.", "Sky the the.", "Kq purple lamps on."]),
        )
    ]
    file = tmp_path / "mc.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = check(capsys, "--suite", "truthfulqa_mc1", "--path", str(file))
    assert [(m["name"], m["value"], m["n"]) for m in found["measures"]] == [("MC1", 1.0, 2)]


def test_pairs_of_sentences_are_compared_by_likelihood(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text(
        "sent_more,sent_less,stereo_antistereo,bias_type\n"
        "The man walked home.,Walked the home man.,stereo,gender\n"
        "Old the is cat.,The cat is old.,antistereo,age\n"
    )
    found = check(capsys, "--suite", "crows_pairs", "--path", str(file))
    first, distance = found["measures"][:2]
    assert (first["value"], first["n"]) == (0.5, 2)
    assert distance["value"] > 5
