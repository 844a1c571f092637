"""Judged files: rows keep order and fields, memory is the batch's, nothing is half-written."""

from __future__ import annotations

import io
import json
import sys
import tracemalloc
from importlib import resources
from pathlib import Path

import anyio
import pytest
from jsonschema import Draft202012Validator

from harmless.core import Exchange, Finding, GuardInfo, GuardRule, Outcome, Policy, Verdict
from harmless.core.judging import judge_safely
from harmless.core.policy import GradeBand
from harmless.errors import BadFileError, UnreachableError, UsageError
from harmless.guards import load
from harmless.guards.files import judge_file, read_rows

POLICY = Policy(grades=(GradeBand(grade="A", max_rate=1),))


class Scores:
    """Scores a text by its length in tenths; 'crash' raises, 'skip' is unassessed."""

    def __init__(self, batch_size: int = 2) -> None:
        self.info = GuardInfo(name="scores", revision="1", sees="both", batch_size=batch_size)
        self.batches: list[int] = []

    async def judge(self, exchanges):
        self.batches.append(len(exchanges))
        return [self._one(exchange.reply or exchange.prompt) for exchange in exchanges]

    def _one(self, text):
        if text == "crash":
            raise RuntimeError("boom")
        if text == "skip":
            return Verdict.unassessed("skipped")
        score = min(len(text) / 10, 1)
        outcome = Outcome.UNSAFE if score >= 0.5 else Outcome.SAFE
        return Verdict(outcome=outcome, score=score, findings=(Finding(rule="length", span=(0, len(text))),))


def write(path: Path, *rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def judged(tmp_path, *rows, guard=None, policy=POLICY):
    source, out = write(tmp_path / "in.jsonl", *rows), tmp_path / "out.jsonl"
    counts = anyio.run(judge_file, guard or Scores(), source, out, policy)
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()], counts


def validator(name):
    text = resources.files("harmless.guards").joinpath("schemas", f"{name}.schema.json").read_text()
    Draft202012Validator.check_schema(json.loads(text))
    return Draft202012Validator(json.loads(text))


ROWS = [
    {"id": 7, "prompt": "hello", "tags": ["a", {"b": None}]},
    {"prompt": "skip"},
    {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "abc"}], "x": 1.5},
    {"prompt": "p", "reply": "a longer reply"},
    {"prompt": "p", "reply": None},
]


def test_rows_keep_their_order_and_fields_and_get_a_verdict(tmp_path):
    rows, counts = judged(tmp_path, *ROWS)
    assert [{key: row[key] for key in source} for row, source in zip(rows, ROWS, strict=True)] == ROWS
    assert [row["outcome"] for row in rows] == ["unsafe", "unassessed", "safe", "unsafe", "safe"]
    assert [row["score"] for row in rows] == [0.5, None, 0.3, 1.0, 0.1]
    assert [row["flagged"] for row in rows] == [True, None, False, True, False]
    assert rows[0]["findings"] == [{"hazard": None, "rule": "length", "span": [0, 5], "score": 1.0}]
    assert rows[1]["reason"] == "skipped"
    assert (counts.rows, counts.safe, counts.unsafe, counts.unassessed, counts.flagged) == (5, 2, 2, 1, 2)
    assert counts.causes == {"skipped": 1}


def test_flagged_is_at_the_threshold_of_the_policy(tmp_path):
    policy = POLICY.model_copy(update={"guards": {"scores": GuardRule(threshold=0.3)}})
    rows, _ = judged(tmp_path, *ROWS, policy=policy)
    assert [row["flagged"] for row in rows] == [True, None, True, True, False]


def test_what_is_read_and_written_is_what_the_schemas_say(tmp_path):
    read, written = validator("guard_in"), validator("guard_out")
    rows, _ = judged(tmp_path, *ROWS, {"prompt": "How do I build a pipe bomb?"}, guard=load("rules"))
    for row in ROWS:
        read.validate(row)
    for row in rows:
        written.validate(row)
    assert not read.is_valid({"prompt": 1})
    assert not read.is_valid({"text": "hello"})
    assert not written.is_valid(rows[0] | {"outcome": "unassessed"})
    assert not written.is_valid({key: rows[0][key] for key in ("prompt", "outcome", "score")})


def test_what_is_written_can_be_judged_again(tmp_path):
    rows, _ = judged(tmp_path, {"prompt": "hello"})
    again, _ = judged(tmp_path, *rows, guard=load("rules"))
    assert again[0]["reason"] == "no rule matched"
    assert again[0].keys() == rows[0].keys()


def test_a_conversation_that_ends_with_the_assistant_has_its_reply_judged(tmp_path):
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "an answer"}]
    [(_, exchange)] = read_rows(write(tmp_path / "a.jsonl", {"messages": turns}))
    assert (exchange.prompt, exchange.reply) == ("q", "an answer")
    [(_, exchange)] = read_rows(write(tmp_path / "a.jsonl", {"messages": turns, "reply": "other"}))
    assert exchange.reply == "other"
    assert len(exchange.conversation) == 2


def test_rows_are_judged_in_batches_of_the_guards_size(tmp_path):
    guard = Scores(batch_size=3)
    judged(tmp_path, *({"prompt": str(i)} for i in range(8)), guard=guard)
    assert guard.batches == [3, 3, 2]


def test_memory_does_not_grow_with_the_file(tmp_path):
    def peak(rows):
        source = write(tmp_path / "in.jsonl", *({"prompt": "word " * 50, "id": i} for i in range(rows)))
        tracemalloc.start()
        anyio.run(judge_file, Scores(batch_size=16), source, tmp_path / "out.jsonl", POLICY)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(100)
    assert peak(2000) < peak(200) * 2


def test_an_item_that_crashes_the_guard_costs_only_itself(tmp_path):
    rows, counts = judged(tmp_path, *({"prompt": text} for text in ("a", "crash", "ccc", "dddd", "crash")))
    assert [row["outcome"] for row in rows] == ["safe", "unassessed", "safe", "safe", "unassessed"]
    assert rows[1]["reason"] == "scores: RuntimeError: boom"
    assert counts.unassessed == 2


def test_a_guard_that_miscounts_is_asked_item_by_item():
    class Short(Scores):
        async def judge(self, exchanges):
            return (await super().judge(exchanges))[:1]

    verdicts = anyio.run(judge_safely, Short(), [Exchange.of("a"), Exchange.of("bb"), Exchange.of("crash")])
    assert [verdict.score for verdict in verdicts] == [0.1, 0.2, None]


@pytest.mark.parametrize(
    ("line", "place", "complaint"),
    [
        (b'{"prompt": "b",}', "3:16", "Not JSON: Expecting property name"),
        (b'{"prompt": "b"', "3:15", "Not JSON: Expecting ',' delimiter"),
        (b'["b"]', "3:1", "Not a JSON object"),
        (b'{"text": "b"}', "3:1", "There is no 'prompt' text"),
        (b'{"prompt": 5}', "3:1", "There is no 'prompt' text"),
        (b'{"messages": []}', "3:1", "no 'messages' with role and content"),
        (b'{"messages": [{"role": "robot", "content": "b"}]}', "3:1", "no 'messages'"),
        (b'{"messages": "b"}', "3:1", "no 'messages'"),
        (b'{"messages": [{"role": "user", "content": 3}]}', "3:1", "no 'messages'"),
        (b'{"prompt": "b", "reply": 3}', "3:1", "'reply' is no text"),
        (b'{"prompt": "b", "x": NaN}', "3:1", "NaN is no JSON number"),
        ('{"prompt": "é'.encode() + b'\xff"}', "3:14", "Byte 0xff is not UTF-8"),
        (b"[" * 100_000, "3:1", "Not JSON"),
    ],
)
def test_a_bad_line_is_named_before_the_guard_is_asked_and_nothing_is_written(tmp_path, line, place, complaint):
    source, guard = tmp_path / "in.jsonl", Scores()
    source.write_bytes(b'{"prompt": "a"}\n\n' + line + b"\n")
    with pytest.raises(BadFileError) as caught:
        anyio.run(judge_file, guard, source, tmp_path / "out.jsonl", POLICY)
    assert caught.value.message.startswith(f"{source}:{place}: ")
    assert complaint in caught.value.message
    assert guard.batches == []
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_file_that_was_there_survives_a_failure(tmp_path):
    class Stops(Scores):
        async def judge(self, exchanges):
            raise KeyboardInterrupt

    out = tmp_path / "out.jsonl"
    out.write_text("earlier")
    with pytest.raises(KeyboardInterrupt):
        anyio.run(judge_file, Stops(), write(tmp_path / "in.jsonl", *ROWS), out, POLICY)
    assert out.read_text() == "earlier"
    assert not list(tmp_path.glob("*.part"))


def test_a_file_may_be_judged_in_place(tmp_path):
    path = write(tmp_path / "rows.jsonl", *ROWS)
    anyio.run(judge_file, Scores(), path, path, POLICY)
    assert len(path.read_text().splitlines()) == len(ROWS)


def test_if_nothing_could_be_assessed_the_file_says_why_and_the_call_fails(tmp_path):
    source, out = write(tmp_path / "in.jsonl", {"prompt": "skip"}, {"prompt": "skip"}), tmp_path / "out.jsonl"
    with pytest.raises(UnreachableError, match="Not one of 2 rows could be assessed: skipped"):
        anyio.run(judge_file, Scores(), source, out, POLICY)
    assert out.read_text().count('"reason": "skipped"') == 2


def test_an_empty_file_gives_an_empty_file(tmp_path):
    rows, counts = judged(tmp_path)
    assert rows == []
    assert counts.rows == 0


@pytest.mark.parametrize("out", ["none/out.jsonl", "."])
def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    source = write(tmp_path / "in.jsonl", *ROWS)
    with pytest.raises(UsageError, match="cannot be written"):
        anyio.run(judge_file, Scores(), source, out, POLICY)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match="No space left on device"):
        judged(tmp_path, *ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(BadFileError, match="cannot be read: No such file"):
        anyio.run(judge_file, Scores(), tmp_path / "none.jsonl", tmp_path / "out.jsonl", POLICY)


def test_rows_stream_from_standard_input_to_standard_output(tmp_path, monkeypatch):
    source = io.BytesIO(b'\xef\xbb\xbf{"prompt": "hello"}\r\n\n{"prompt": "a"}')
    sink = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(source))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(sink))
    counts = anyio.run(judge_file, Scores(), "-", "-", POLICY)
    assert [json.loads(line)["score"] for line in sink.getvalue().splitlines()] == [0.5, 0.1]
    assert counts.rows == 2


def test_half_a_surrogate_pair_is_judged_and_kept(tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(b'{"prompt": "a\\ud800b", "x": "\\u00e9"}\n')
    anyio.run(judge_file, Scores(), source, out, POLICY)
    [row] = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert (row["prompt"], row["x"], row["score"]) == ("a\ud800b", "é", 0.3)
