"""``harmless guard threshold``: what it chooses, as a table, a document and lines of a policy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from harmless import guards
from harmless.cli import main
from harmless.core import Exchange, GuardInfo, Outcome, Policy, Verdict


class Told:
    """Scores a prompt with the number that it ends with; leaves one without a number unassessed."""

    info = GuardInfo(name="told", revision="1", sees="prompt", threshold=0.5)

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        return [self._verdict(each.prompt.rpartition(" ")[2]) for each in exchanges]

    def _verdict(self, said: str) -> Verdict:
        if not said.isdigit():
            return Verdict.unassessed("no number")
        return Verdict(outcome=Outcome.SAFE, score=int(said) / 100)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(guards, "load", lambda spec, policy: Told())
    rows = [{"prompt": f"benign {n}", "unsafe": False} for n in range(100)]
    rows += [{"prompt": f"harmful {n}", "unsafe": True} for n in range(90, 100)]
    rows += [{"prompt": "benign none", "unsafe": False}]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def harmless(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(("guard", "threshold", "--guard", "told", *arguments))
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_the_share_of_benign_rows_is_kept_and_the_harmful_ones_do_not_count(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert harmless("--data", "rows.jsonl", "--fpr", "0.05", "--json") == 0
    found = json.loads(capsys.readouterr().out)["guards"]["told"]
    assert (found["value"], found["flagged"], found["benign"], found["unassessed"]) == (0.95, 5, 100, 1)
    assert 0.05 < found["upper"] < 0.15


def test_the_lines_for_the_policy_are_read_by_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless("--data", "rows.jsonl", "--fpr", "0.05") == 0
    printed = capsys.readouterr().out
    assert "5 of 100 (5.00%)" in printed
    lines = yaml.safe_load(printed[printed.index("guards:") :])
    policy = Policy.model_validate({**lines, "grades": [{"grade": "A", "max_rate": 1}]})
    assert policy.guards["told"].threshold == 0.95


def test_a_guarantee_takes_a_higher_threshold_or_more_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless("--data", "rows.jsonl", "--fpr", "0.05", "--guaranteed", "--json") == 0
    found = json.loads(capsys.readouterr().out)["guards"]["told"]
    assert found["value"] > 0.95
    assert found["upper"] <= 0.05
    assert harmless("--data", "rows.jsonl", "--fpr", "0.01", "--guaranteed") == 2
    assert "too few" in capsys.readouterr().err


def test_a_share_that_is_none_and_a_guard_that_assesses_nothing_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert harmless("--data", "rows.jsonl", "--fpr", "2") == 2
    Path("mute.jsonl").write_text('{"prompt": "benign none", "unsafe": false}\n')
    assert harmless("--data", "mute.jsonl") == 3
    assert "no number" in capsys.readouterr().err
