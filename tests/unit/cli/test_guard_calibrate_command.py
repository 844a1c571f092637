"""``harmless guard calibrate``: what it fits is what ``calibrated`` reads."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from harmless import guards
from harmless.cli import main
from harmless.core import Exchange, Outcome
from harmless.guards.calibration import Calibration

GUARD = "rules(mine.yaml)"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("rules:\n  - {id: house.kites, words: [kite*], score: 0.7, applies: both}\n")
    rows = [{"prompt": f"kites {n}", "unsafe": n < 3} for n in range(10)]
    rows += [{"prompt": f"planes {n}", "unsafe": False} for n in range(10)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def harmless(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(("guard", "calibrate", *arguments, *(() if "--out" in arguments else ("--out", "fit.json"))))
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_the_file_makes_probabilities_of_the_guards_scores(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless("--guard", GUARD, "--data", "rows.jsonl") == 0
    printed = capsys.readouterr().err
    assert "3 unsafe, 17 safe, 0 unassessed" in printed
    assert f"calibrated({GUARD}, fit.json)" in printed
    fitted = guards.load(f"calibrated({GUARD}, fit.json)")
    kites, planes = anyio.run(fitted.judge, [Exchange.of("kites"), Exchange.of("planes")])
    assert (kites.outcome, kites.score) == (Outcome.SAFE, pytest.approx(0.3))
    assert planes.score == 0


def test_the_method_can_be_chosen_and_the_counts_are_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless("--guard", GUARD, "--data", "rows.jsonl", "--method", "platt", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "guard": GUARD, "out": "fit.json", "method": "platt", "unsafe": 3, "safe": 17, "unassessed": 0,
    }  # fmt: skip
    assert Calibration.read("fit.json").method == "platt"


def test_too_few_rows_a_dead_guard_and_a_bad_place_are_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    Path("safe.jsonl").write_text('{"prompt": "a", "unsafe": false}\n{"prompt": "b", "unsafe": false}\n')
    assert harmless("--guard", GUARD, "--data", "safe.jsonl") == 2
    assert "0 unsafe and 2 safe rows are too few" in capsys.readouterr().err
    assert harmless("--guard", "refusal", "--data", "rows.jsonl") == 3
    assert "could assess no row" in capsys.readouterr().err
    assert harmless("--guard", GUARD, "--data", "rows.jsonl", "--out", "no/such/fit.json") == 2
    assert "cannot be written" in capsys.readouterr().err
