"""Steering: a direction from prompts of both kinds, as a target."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harmless.align.drafts import Draft
from harmless.core import Expect, user
from harmless.errors import UsageError
from tests.tiny import saved

pytestmark = pytest.mark.hf
pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("transformers", reason="needs transformers (extra hf)")

import numpy as np  # noqa: E402

from harmless.align.steer import direction, write  # noqa: E402
from harmless.cli import main  # noqa: E402
from harmless.internals.chat import encode  # noqa: E402
from harmless.internals.hidden import states  # noqa: E402
from harmless.internals.model import LocalModel, load  # noqa: E402
from harmless.internals.steering import Steering  # noqa: E402


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(str(saved(tmp_path_factory.mktemp("tiny"))))


def drafts(*expects: Expect) -> list[Draft]:
    return [Draft(user(f"prompt {i}"), expect) for i, expect in enumerate(expects)]


def test_the_direction_leads_from_benign_to_harmful_prompts(local: LocalModel) -> None:
    given = drafts(Expect.REFUSE, Expect.ANSWER)
    found = direction(local, given, 1, 2.0).vectors[1]
    seen = states(local, [encode(local, each.conversation) for each in given], [1], pool="last")[:, 0]
    np.testing.assert_allclose(found, 2 * (seen[0] - seen[1]), rtol=1e-4, atol=1e-3)


def test_the_layer_in_the_middle_is_steered_by_default(local: LocalModel) -> None:
    assert list(direction(local, drafts(Expect.REFUSE, Expect.ANSWER), None, 1.0).vectors) == [1]


def test_what_cannot_be_steered_is_said(local: LocalModel) -> None:
    with pytest.raises(UsageError, match="no layer 3"):
        direction(local, drafts(Expect.REFUSE, Expect.ANSWER), 3, 1.0)
    with pytest.raises(UsageError, match="no layer 0"):
        direction(local, drafts(Expect.REFUSE, Expect.ANSWER), 0, 1.0)
    with pytest.raises(UsageError, match="nan times"):
        direction(local, drafts(Expect.REFUSE, Expect.ANSWER), 1, float("nan"))
    with pytest.raises(UsageError, match="harmful and benign"):
        direction(local, drafts(Expect.REFUSE), 1, 1.0)


def test_the_folder_names_the_target(tmp_path: Path) -> None:
    steering = Steering({1: np.ones(32, np.float32)})
    manifest = write(tmp_path / "steer", steering, "embedded", drafts(Expect.REFUSE), {})
    assert manifest["target"] == f"steered:{tmp_path / 'steer'}:embedded"
    assert json.loads((tmp_path / "steer" / "align.json").read_text())["method"] == "steer"
    np.testing.assert_array_equal(Steering.load(tmp_path / "steer" / "steering.npz").vectors[1], np.ones(32))


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = saved(tmp_path / "model")
    rows = [{"prompt": "XX bad thing", "expect": "refuse"}, {"prompt": "oo good thing", "expect": "answer"}]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def harmless(*arguments: str) -> int:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        return int(str(end.value.code))

    given = [f"hf:{folder}", "--data", "mine.jsonl"]
    assert harmless("align", "steer", *given, "--out", "steer", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["layer"], document["prompts"]) == (1, 2)
    assert harmless("align", *given, "--method", "steer", "--out", "same", "--json") == 0
    assert json.loads(capsys.readouterr().out)["norm"] == document["norm"]
    for option in (["--epochs", "3"], ["--critic", "embedded"], ["--plan"]):
        assert harmless("align", *given, "--method", "steer", "--out", "x", *option) == 2
        assert "have no effect" in capsys.readouterr().err
    assert harmless("align", "steer", *given, "--out", "x", "--critic", "embedded") == 2
    assert harmless("align", *given, "--method", "sft", "--out", "steer") == 2
    assert "method was steer, now sft" in capsys.readouterr().err
    assert harmless("align", "steer", *given, "--out", "steer", "--strength", "2") == 2
    assert "strength was 1.0, now 2.0" in capsys.readouterr().err
    assert harmless("align", "export", "steer") == 2
    assert "holds a steering" in capsys.readouterr().err
