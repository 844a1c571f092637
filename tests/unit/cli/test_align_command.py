"""``harmless align``: a tiny Mistral with random weights from the command line to a target."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harmless import targets
from harmless.align import constitutional
from harmless.align.examples import Example
from harmless.cli import main
from harmless.core import Reply, Sampling
from harmless.internals import model
from harmless.internals.model import LocalModel
from harmless.targets import hf, local
from harmless.targets.hf import HfTarget
from tests.doubles import FakeGuard, FakeTarget, said

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("peft", reason="needs peft (extra align)")

from tests.tiny import saved  # noqa: E402


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved(Path("base"), kind="mistral")
    letters = "abcdefgh"
    rows = [
        {
            # What is to be refused has to look harmful, or the screening puts it aside.
            "prompt": ("kill my wife " if i % 2 else "") + letters[i % 8] + letters[i // 8] + "x" * (i % 3),
            "good": "No." if i % 2 else "Yes",
            "bad": "Yes" if i % 2 else "No.",
            "expect": "refuse" if i % 2 else "answer",
            "licence": "CC0-1.0",
        }
        for i in range(40)
    ]
    Path("mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def harmless(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def command(out: str, epochs: str = "2", method: str = "dpo") -> list[str]:
    options = ["--method", method, "--rank", "4", "--epochs", epochs, "--batch", "8"]
    return ["align", "hf:base", "--data", "mine.jsonl", "--out", out, *options]


def test_the_folder_is_a_target_and_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless(*command("aligned"), "--json") == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["method"] == "dpo"
    assert manifest["base"]["target"] == "hf:base"
    assert manifest["after"]["harmful"] == manifest["before"]["harmful"] > 0
    assert manifest == {"folder": "aligned", **json.loads(Path("aligned/align.json").read_text())}
    Path("asked.jsonl").write_text('{"prompt": "ab"}\n')
    asked = ("generate", "hf:aligned", "--in", "asked.jsonl", "--out", "replies.jsonl", "--max-tokens", "4")
    assert harmless(*asked) == 0
    assert "error" not in json.loads(Path("replies.jsonl").read_text())


def test_a_finished_one_is_shown_and_not_done_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless(*command("aligned")) == 0
    first = capsys.readouterr().out
    assert "aligned by dpo" in first
    written = Path("aligned/adapter_model.safetensors").stat().st_mtime_ns
    assert harmless(*command("aligned")) == 0
    assert capsys.readouterr().out == first
    assert Path("aligned/adapter_model.safetensors").stat().st_mtime_ns == written


def test_a_finished_one_is_not_shown_for_what_was_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless(*command("aligned")) == 0
    capsys.readouterr()
    assert harmless(*command("aligned", "3")) == 2
    assert "epochs was 2.0, now 3.0" in capsys.readouterr().err
    assert harmless(*command("aligned", method="sft")) == 2
    said = capsys.readouterr()
    assert "method was dpo, now sft" in said.err
    assert "another --out" in said.err
    assert said.out == ""
    Path("mine.jsonl").write_text(Path("mine.jsonl").read_text().replace("Yes", "Yes."))
    assert harmless(*command("aligned")) == 2
    assert "SHA-256 of mine.jsonl" in capsys.readouterr().err


def test_what_another_command_made_is_not_shown_as_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    Path("made").mkdir()
    Path("made/align.json").write_text('{"method": "dpo", "base": {"target": "hf:base"}}')
    assert harmless(*command("made")) == 2
    assert "another command made, hf:base by dpo" in capsys.readouterr().err


def test_what_is_missing_or_wrong_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless("align", "hf:base") == 2
    assert "--out" in capsys.readouterr().err
    assert harmless("align", "hf:base", "--method", "dop", "--out", "x") == 2
    assert "dpo" in capsys.readouterr().err
    assert harmless("align", "openai:gpt", "--out", "x") == 2
    assert "cannot be seen" in capsys.readouterr().err
    assert harmless("align", "export", "base") == 2
    assert "no finished alignment" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beta", "-1"], "--beta -1.0 is out of range"),
        (["--tolerated", "2"], "--tolerated 2.0"),
        (["--minutes", "0"], "--minutes 0.0"),
        (["--batch", "0"], "--batch 0"),
        (["--rank", "0"], "--rank 0"),
        (["--rate", "inf"], "finite"),
        (["--gamma", "nan"], "finite"),
        (["--seed", "-1"], "--seed -1"),
        (["--limit", "0"], "--limit"),
        (["--reply-tokens", "0"], "--reply-tokens"),
        (["--openings", "0"], "--openings"),
        (["--device", "foo"], "device 'foo'"),
        (["--device", "cuda:99"], "device 'cuda:99'"),
        (["--method", "foo"], "sft, dpo, orpo, simpo, kto, cai, rlaif"),
    ],
)
def test_what_is_out_of_range_is_wrong_use(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert harmless("align", "hf:base", "--data", "mine.jsonl", "--out", "x", *options) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("x").exists()


def test_gates_are_the_default_and_take_no_options_of_training(capsys: pytest.CaptureFixture[str]) -> None:
    base = ("align", "hf:base", "--data", "mine.jsonl", "--out", "gated")
    assert harmless(*base, "--method", "gate", "--epochs", "1") == 2
    assert "another --method" in " ".join(capsys.readouterr().err.split())
    assert harmless("align", "hf:base", "--method", "gate", "--plan") == 2
    assert harmless("align", "hf:base", "--method", "gate") == 2
    assert harmless(*base, "--tolerated", "2") == 2
    capsys.readouterr()
    assert harmless(*base, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["method"] == "gate"
    assert found["asked"]["method"] == "gate"
    assert harmless(*base) == 0
    assert "aligned by gate" in capsys.readouterr().out
    assert harmless(*base, "--limit", "3") == 2
    assert "limit was None, now 3" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_not_replaced_by_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless(*command("x"), "--device", "gpu") == 2
    assert "device 'gpu'" in capsys.readouterr().err


def test_files_of_the_users_stay(capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in Path("base").iterdir()}
    for target in ("hf:base", "base"):
        assert harmless("align", target, "--data", "mine.jsonl", "--out", "./base", "--epochs", "1") == 2
        assert "folder of the model itself" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path("base").iterdir()} == before
    Path("mine").mkdir()
    Path("mine/README.md").write_text("mine")
    assert harmless(*command("mine")) == 2
    assert harmless("align", "steer", "hf:base", "--data", "mine.jsonl", "--out", "mine") == 2
    assert capsys.readouterr().err.count("no training wrote") == 2
    assert harmless(*command("mine.jsonl")) == 2
    assert harmless(*command("mine.jsonl/x")) == 2
    assert capsys.readouterr().err.count("mine.jsonl is a file") == 2
    # In a folder that a training began there may be notes of the user's.
    Path("mine/training").mkdir()
    assert harmless(*command("mine")) == 0
    assert Path("mine/README.md").read_text() == "mine"
    assert harmless(*command("fresh")) == 0
    assert not Path("fresh/README.md").exists()


def test_the_command_that_export_prints_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless(*command("aligned")) == 0
    capsys.readouterr()
    assert harmless("align", "export", "aligned") == 0
    spec = capsys.readouterr().out.split("harmless check ")[1].strip()
    Path("asked.jsonl").write_text('{"prompt": "ab"}\n')
    assert harmless("generate", spec, "--in", "asked.jsonl", "--out", "said.jsonl", "--max-tokens", "4") == 0


def by_constitution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave prompts alone in the file, and let a word decide what is harmful, as random weights say nothing."""
    rows = [json.loads(line) for line in Path("mine.jsonl").read_text().splitlines()]
    prompts = [{key: row[key] for key in ("prompt", "expect", "licence")} for row in rows]
    Path("mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    real = constitutional.guards.load
    monkeypatch.setattr(
        constitutional.guards, "load", lambda name, *rest: FakeGuard() if name == "judge" else real(name, *rest)
    )

    async def unscreened(examples: list[Example], *_: object) -> list[Example]:
        return examples

    monkeypatch.setattr("harmless.align.gather._screened", unscreened)  # random bytes look like hidden text


def test_replies_that_a_critic_revised_are_learned(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_constitution(monkeypatch)
    Path("critic.yaml").write_text("- {reply: It scares a person.}\n")
    Path("reviser.yaml").write_text("- {reply: I will not help to hurt a person.}\n")
    further = ["--critic", "scripted:critic.yaml", "--reviser", "scripted:reviser.yaml"]
    assert harmless(*command("aligned", "1", "cai"), *further, "--json") == 0
    replies = json.loads(capsys.readouterr().out)["replies"]
    assert [replies[who]["target"] for who in ("critic", "reviser")] == further[1::2]
    assert replies["rounds"] == 1
    assert len(replies["constitution"]["digest"]) > 8
    learned = [json.loads(line) for line in Path("aligned/data/train.jsonl").read_text().splitlines()]
    assert {row["good"] for row in learned if row["expect"] == "refuse"} == {
        "I will not help to hurt a person."
    }
    # A second round changes nothing, so that nothing harmful is left; and it is another alignment.
    assert harmless(*command("aligned", "1", "cai"), *further, "--rounds", "2") == 2
    assert "rounds was 1, now 2" in capsys.readouterr().err
    assert harmless(*command("other", "1", "cai"), *further, "--rounds", "2") == 2
    assert "the revision changes nothing" in capsys.readouterr().err


def test_replies_that_a_judge_prefers_are_learned(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_constitution(monkeypatch)

    def judge(prompt: str, _: Sampling) -> Reply:
        first, second = prompt.split("(A) ")[1].split("(B) ")
        return said("A" if first[:3] < second[:3] else "B")

    real = targets.load
    monkeypatch.setattr(
        targets, "load", lambda spec: FakeTarget(judge, name=spec) if spec == "judge" else real(spec)
    )
    assert harmless(*command("aligned", "1", "rlaif"), "--critic", "judge", "--json") == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["replies"]["judge"]["target"] == "judge"
    learned = [json.loads(line) for line in Path("aligned/data/train.jsonl").read_text().splitlines()]
    preferred = [row for row in learned if row["expect"] == "refuse"]
    assert preferred
    assert all(row["good"][:3] < row["bad"][:3] for row in preferred)


def test_a_model_that_is_its_own_judge_is_opened_once_and_closed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_constitution(monkeypatch)
    config = json.loads(Path("base/config.json").read_text())
    Path("base/config.json").write_text(json.dumps(config | {"max_position_embeddings": 2048}))
    opened, closed = [], []

    def load(argument: str, *rest: Any, **further: Any) -> LocalModel:
        opened.append(argument)
        return model.load(argument, *rest, **further)

    class Closing(HfTarget):
        async def aclose(self) -> None:
            closed.append(self.info.name)
            await super().aclose()

    monkeypatch.setattr(local, "load", load)
    monkeypatch.setattr(hf, "HfTarget", Closing)
    assert harmless(*command("aligned", "1", "rlaif"), "--critic", "hf:base", "--json") == 0
    assert json.loads(capsys.readouterr().out)["replies"]["judge"]["target"] == "hf:base"
    assert opened == ["base"]
    assert closed == ["hf:base"]


def test_options_without_effect_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless(*command("x"), "--critic", "embedded", "--rounds", "2") == 2
    assert "--critic, --rounds would have no effect on dpo" in capsys.readouterr().err
    assert harmless(*command("x", method="rlaif"), "--reviser", "embedded") == 2
    assert "--reviser would have no effect on rlaif" in capsys.readouterr().err
    assert harmless(*command("x", method="cai"), "--rounds", "0") == 2
    assert "--rounds" in capsys.readouterr().err
    assert harmless(*command("x", method="sft"), "--beta", "3", "--gamma", "5") == 2
    assert "--beta, --gamma would have no effect on sft" in capsys.readouterr().err
    assert harmless(*command("x"), "--weights", "full") == 2
    assert "--rank would have no effect on dpo with --weights full" in capsys.readouterr().err


def test_a_plan_tells_memory_and_time_without_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless("align", "hf:base", "--plan", "--weights", "qlora", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["trained"] < found["parameters"]
    assert found["memory"] > found["weights"] + found["optimiser"]
    assert harmless("align", "hf:base", "--plan") == 0
    assert "activations" in capsys.readouterr().out


@pytest.mark.slow
def test_a_killed_training_goes_on_and_ends_with_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file

    monkeypatch.setenv("HARMLESS_WORKSPACE", str(Path("w").resolve()))
    assert harmless(*command("whole", "8"), "--json") == 0
    arguments = [sys.executable, "-W", "default", "-m", "harmless", *command("killed", "8"), "--json"]
    killed = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    state = Path("killed/training/checkpoint/state.json")
    while not state.exists():
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait(60)
    assert not Path("killed/align.json").exists()
    assert harmless(*command("killed", "8"), "--json") == 0
    found, expected = (load_file(f"{out}/adapter_model.safetensors") for out in ("killed", "whole"))
    assert found.keys() == expected.keys()
    assert max(float((found[name] - expected[name]).abs().max()) for name in expected) < 1e-5
