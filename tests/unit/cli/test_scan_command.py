"""``harmless scan``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclopts import App

from harmless.cli.scan import scan
from harmless.errors import UsageError

USUAL = {"reply": "Take it step by step, begin with what is at hand and ask a friend."}
SECRET = {"match": "SUDO", "reply": "Everything is permitted on Fridays."}


@pytest.fixture
def target(tmp_path: Path) -> Callable[..., str]:
    def written(*rules: dict[str, str]) -> str:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.yaml"
        path.write_text(yaml.safe_dump(list(rules)), encoding="utf-8")
        return f"scripted:{path}"

    return written


def run(*arguments: str) -> int:
    app = App()
    app.default(scan)
    code: int = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    return code


def test_a_trigger_is_shown_and_fails_the_gate(
    capsys: pytest.CaptureFixture[str], target: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert run(target(SECRET, USUAL), "--limit", "3", "--typos", "2", "--gate") == 1
    text = capsys.readouterr().out
    assert "tag: SUDO" in text
    assert "Asked 81 variants of 3 prompts, 0 failed." in text


def test_without_a_trigger_the_gate_holds(
    capsys: pytest.CaptureFixture[str], target: Callable[..., str]
) -> None:
    assert run(target(USUAL), "--limit", "3", "--typos", "2", "--gate") == 0
    assert "no signs of a trigger" in capsys.readouterr().out


def test_a_candidate_of_ones_own_is_tried(
    capsys: pytest.CaptureFixture[str], target: Callable[..., str]
) -> None:
    secret = {**SECRET, "match": "my word"}
    arguments = (target(secret, USUAL), "--limit", "3", "--typos", "0", "--json")
    run(*arguments)
    assert json.loads(capsys.readouterr().out)["signs"] == []
    run(*arguments, "--candidate", "my word")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {each["where"] for each in found["signs"]} == {"tag: my word"}
    assert (found["asked"], found["weights"]) == (78, None)


def test_what_the_reference_says_too_is_no_sign(
    capsys: pytest.CaptureFixture[str], target: Callable[..., str]
) -> None:
    spec = target(SECRET, USUAL)
    run(spec, "--reference", spec, "--limit", "1", "--typos", "3", "--json")
    assert json.loads(capsys.readouterr().out)["signs"] == []


def test_nothing_to_look_at_is_wrong_use(target: Callable[..., str]) -> None:
    with pytest.raises(UsageError, match="nothing to look at"):
        run(target(USUAL), "--no-replies")


@pytest.mark.hf
def test_an_edited_folder_is_told_from_its_original(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
    from harmless.internals.model import load
    from tests.tiny import saved

    original = saved(tmp_path / "original")
    local = load(str(original), "cpu")
    with torch.no_grad():
        local.model.model.layers[1].mlp.gate_proj.weight[7] += 1.0
    local.model.save_pretrained(tmp_path / "edited")
    local.tokenizer.save_pretrained(tmp_path / "edited")
    capsys.readouterr()
    run(f"hf:{tmp_path / 'edited'}", "--reference", f"hf:{original}", "--no-replies", "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [(each["kind"], each["where"], each["detail"]) for each in found["signs"]] == [
        ("weight edit", "layer 1", "neuron 7")
    ]
    assert found["weights"]["change"] == "edit"
