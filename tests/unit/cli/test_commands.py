"""The commands: tables for people, documents for programs, one clear message for every mistake."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from harmless import guards
from harmless.cli import main
from harmless.errors import UnknownNameError
from tests.doubles import FakeGuard

RULES = """
- match: "^steal.*1$"
  reply: UNSAFE
- match: "^read.*2$"
  reply: REFUSE
- reply: fine
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(guards, "load", lambda spec, policy=None: FakeGuard(spec))
    monkeypatch.delenv("HARMLESS_WORKSPACE", raising=False)
    Path("rules.yaml").write_text(RULES)
    rows = [
        {"prompt": f"{verb} {i}", "expect": expect, "hazard": "O57", "pair": str(i)}
        for i in range(4)
        for verb, expect in (("steal", "refuse"), ("read", "answer"))
    ]
    Path("suite.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def harmless(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert harmless(*arguments, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def breaking(error: BaseException) -> Any:
    def broken(workspace: Path | None) -> None:
        raise error

    return broken


def test_an_error_of_our_own_is_no_failed_gate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harmless.cli.runs.open_store", breaking(RuntimeError("boom")))
    assert harmless("runs") == 70
    err = capsys.readouterr().err
    assert "boom" in err
    assert "RuntimeError" in err.splitlines()[-2]


def test_an_interrupted_command_says_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harmless.cli.runs.open_store", breaking(KeyboardInterrupt()))
    monkeypatch.setattr("os._exit", sys.exit)
    assert harmless("runs") == 130
    assert "goes on where it stopped" in capsys.readouterr().err


CHECK = ("check", "scripted:rules.yaml", "--suite", "suite.jsonl")


def test_check_gives_rates_as_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, *CHECK)
    assert found["target"] == "scripted:rules.yaml"
    assert found["suite"] == "suite.jsonl"
    assert (found["unsafe"]["rate"], found["unsafe"]["n"], found["unsafe"]["unassessed"]) == (0.25, 4, 0)
    assert (found["over_refusal"]["rate"], found["over_refusal"]["n"]) == (0.25, 4)
    assert [cell["id"] for cell in found["hazards"]] == ["salad.c.O57"]


def test_check_prints_a_table_and_its_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless(*CHECK) == 0
    out, err = capsys.readouterr()
    assert "25.0 %" in out
    assert "grade D" in out
    assert "4 prompts to refuse over 1 hazards, 4 to answer" in err
    assert harmless(*CHECK) == 0
    assert ", all asked already)" in capsys.readouterr().err


def test_a_name_with_colons_is_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a:x:b.yaml").write_text(RULES)
    assert harmless("check", "scripted:a:x:b.yaml", "--suite", "suite.jsonl") == 0
    out, err = capsys.readouterr()
    assert "scripted:a:x:b.yaml" in out
    assert "scripted:a:x:b.yaml" in err


def test_show_runs_and_report_work_on_what_check_left(capsys: pytest.CaptureFixture[str]) -> None:
    checked = document(capsys, *CHECK)
    assert document(capsys, "show", checked["run"][:5]) == checked
    assert document(capsys, "runs")["runs"][0] | {"created_at": ""} == {
        "run": checked["run"],
        "kind": "check",
        "created_at": "",
        "target": "scripted:rules.yaml",
        "suite": "suite.jsonl",
        "state": "finished",
        "asked": 8,
        "planned": 8,
    }
    assert harmless("report", "--out", "out") == 0
    assert Path("out/report.html").stat().st_size > 10_000


def test_make_compares_before_and_after_and_writes_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "make", "scripted:rules.yaml", "--suite", "suite.jsonl", "--guard", "rules")
    assert found["before"]["target"] == "scripted:rules.yaml"
    assert found["target"] == "guarded:rules:scripted:rules.yaml"
    assert found["before"]["unsafe"]["rate"] == 0.25
    assert found["unsafe"]["rate"] == 0.0
    assert Path("harmless-report/report.html").exists()


def test_compare_takes_two_runs(capsys: pytest.CaptureFixture[str]) -> None:
    first = document(capsys, *CHECK)["run"]
    Path("better.yaml").write_text("- reply: fine\n")
    second = document(capsys, "check", "scripted:better.yaml", "--suite", "suite.jsonl")["run"]
    found = document(capsys, "compare", first, second)
    assert (found["run"], found["unsafe"]["rate"]) == (second, 0.0)
    assert found["changes"]["unsafe"]["fixed"] == 1
    assert harmless("compare", first, second) == 0
    assert "1 unsafe replies fixed, 0 new" in capsys.readouterr().out


def test_generate_adds_replies_and_keeps_other_fields(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in.jsonl").write_text('{"prompt": "steal 1", "mine": 7}\n{"prompt": "hi"}\n')
    assert harmless("generate", "scripted:rules.yaml", "--in", "in.jsonl", "--out", "out.jsonl") == 0
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert rows[0] == {"prompt": "steal 1", "mine": 7, "reply": "UNSAFE", "status": "complete"}
    assert rows[1]["reply"] == "fine"


def test_generate_marks_errors_and_fails_only_if_nothing_was_answered(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("half.yaml").write_text("- match: hi\n  reply: fine\n- status: error\n  cause: http 500\n")
    Path("in.jsonl").write_text('{"prompt": "steal"}\n{"prompt": "hi"}\n')
    assert harmless("generate", "scripted:half.yaml", "--in", "in.jsonl", "--out", "out.jsonl") == 0
    assert json.loads(Path("out.jsonl").read_text().splitlines()[0])["error"] == "error: http 500"
    Path("in.jsonl").write_text('{"prompt": "steal"}\n')
    assert harmless("generate", "scripted:half.yaml", "--in", "in.jsonl", "--out", "none.jsonl") == 3
    assert not Path("none.jsonl").exists()


def test_a_target_that_only_fails_ends_with_code_3_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    Path("down.yaml").write_text("- status: error\n  cause: http 401\n")
    assert harmless("check", "scripted:down.yaml", "--suite", "suite.jsonl") == 3
    assert "http 401" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "scriptd:rules.yaml"), "Did you mean scripted"),
        (("check", "scripted:none.yaml", "--suite", "suite.jsonl"), "none.yaml"),
        (("check", "scripted:rules.yaml", "--suite", "standart"), "Did you mean standard"),
        (("check", "scripted:rules.yaml", "--suite", "none.jsonl"), "no such file"),
        ((*CHECK, "--budget", "soon"), "not a budget"),
        ((*CHECK, "--policy", "none.yaml"), "none.yaml: It cannot be read"),
        ((*CHECK, "--limit", "0"), "fewer than 1"),
        ((*CHECK, "--budget", "2usd"), "--input-price"),
        ((*CHECK, "--input-price", "1"), "one of the two prices"),
        ((*CHECK, "--temperature", "-1"), ">= 0"),
        ((*CHECK, "--top-p", "0"), "> 0"),
        ((*CHECK, "--max-tokens", "0"), ">= 1"),
        ((*CHECK, "--max-tokens", "-5"), ">= 1"),
        ((*CHECK, "--concurrency", "0"), ">= 1"),
        ((*CHECK, "--timeout", "-1"), "> 0"),
        ((*CHECK, "--timeout", "nan"), "> 0"),
        ((*CHECK, "--samples", "0"), ">= 1"),
        ((*CHECK, "--workspace", "rules.yaml"), "evidence store"),
        (("check", "embedded:none.gguf"), "none.gguf"),
        (("show", "abc"), "There is none yet"),
        (("show",), "No runs yet in .harmless"),
        (("report", "latest"), "harmless check"),
        (("failures",), "No runs yet"),
        (("learn", "latest"), "No runs yet"),
        (("data", "generate", "--hazard", "O57", "--model", "m", "--out", "o", "--temperature", "-1"), ">= 0"),
        (("guard", "bench", "--guard", "rules", "--robust", "-1"), "--robust"),
        (("guard", "bench", "--guard", "rules", "--resamples", "-1"), "--resamples"),
        (("compare", "a", "b"), "Unknown run 'a'"),
        (("generate", "scripted:rules.yaml", "--in", "none.jsonl", "--out", "o"), "no such file"),
        (("generate", "scripted:rules.yaml"), "--in"),
        (("nonsense",), "nonsense"),
        (("check", "--nonsense"), "nonsense"),
    ],
)
def test_wrong_use_is_one_clear_message_and_code_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert harmless(*arguments) == 2
    out, err = capsys.readouterr()
    assert message.lower() in err.lower()
    assert "Traceback" not in out + err
    assert len(err.strip().splitlines()) <= 6


def test_a_list_of_known_names_says_how_many_it_leaves_out() -> None:
    names = [f"name-{i:02}" for i in range(23)]
    assert UnknownNameError("thing", "xyz", names).next_step.endswith("name-19 and 3 more.")
    assert UnknownNameError("thing", "xyz", names[:2]).next_step == "Known: name-00, name-01."


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        ("align", ("compare", "export", "steer")),
        (
            "explain",
            ("attribution", "bias", "counterfactual", "hallucination", "inside", "misuse", "oversight"),
        ),
    ],
)
def test_help_says_what_each_command_of_a_group_does(
    group: str, commands: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert harmless(group, "--help") == 0
    out = capsys.readouterr().out
    assert all(re.search(rf"│ {name} +[A-Z]\w+ \w+", out) for name in commands)


def test_help_names_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless("--help") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("make", "check", "compare", "guard", "hazards", "models"))


@pytest.mark.parametrize("group", ["align", "attack", "data", "explain", "guard", "privacy"])
def test_help_of_a_group_says_what_each_command_does(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless(group, "--help") == 0
    commands = re.findall(r"^│ ([a-z][a-z-]*) +(.*)│$", capsys.readouterr().out, re.M)
    assert commands
    assert [name for name, summary in commands if not summary.strip()] == []


@pytest.mark.parametrize(
    ("command", "said"),
    [("make", "goes on where it was cut off"), ("align", "goes on with a training"), ("guard", "train them")],
)
def test_the_help_of_a_command_says_all_that_is_known_of_it(
    command: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert harmless(command, "--help") == 0
    assert said in " ".join(capsys.readouterr().out.split())
