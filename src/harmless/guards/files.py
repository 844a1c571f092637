"""Judge the rows of a JSON Lines file: memory bounded by the batch, nothing half-written.

``schemas/guard_in.schema.json`` and ``schemas/guard_out.schema.json`` say what a row is before and after.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, NoReturn, TypeAlias

from pydantic import ValidationError

from harmless.core import Exchange, Guard, Message, Outcome, Policy, Verdict
from harmless.core.judging import judge_safely
from harmless.errors import BadFileError, UnreachableError, UsageError

Row: TypeAlias = dict[str, Any]

STREAM = "-"
"""What stands for standard input and standard output among paths."""

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass
class Counts:
    """How many rows were judged, with which outcome; ``causes`` says why rows are unassessed."""

    rows: int = 0
    safe: int = 0
    unsafe: int = 0
    unassessed: int = 0
    flagged: int = 0
    causes: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict, flagged: bool | None) -> None:
        """Count one verdict."""
        self.rows += 1
        self.flagged += bool(flagged)
        setattr(self, verdict.outcome.value, getattr(self, verdict.outcome.value) + 1)
        if verdict.outcome is Outcome.UNASSESSED:
            self.causes[verdict.reason] += 1


async def judge_file(guard: Guard, source: str | Path, out: str | Path, policy: Policy) -> Counts:
    """Write the rows of ``source`` with the guard's verdicts to ``out``, in their order.

    Each row gets ``outcome``, ``score``, ``flagged`` (at the policy's threshold), ``findings`` and ``reason``;
    what it had under these names is replaced, all else is kept.

    Args:
        guard: what judges, in batches of the size that suits it.
        source: JSONL with ``prompt`` or ``messages``, and ``reply`` where the reply is to be judged; ``-`` is
            standard input. A file is read through before the guard is asked for the first time.
        out: JSONL, written beside its place and moved there when all is done; ``-`` is standard output.
        policy: gives the threshold.

    Raises:
        BadFileError: a row is not what it should be; names line and column. No file is written.
        UnreachableError: not one row could be assessed. The file is written, and says why.
    """
    counts = Counts()
    if str(source) != STREAM:
        for _ in read_rows(source):
            pass
    with _writer(out) as sink:
        for batch in _batches(read_rows(source), guard.info.batch_size):
            verdicts = await judge_safely(guard, [exchange for _, exchange in batch])
            for (row, _), verdict in zip(batch, verdicts, strict=True):
                flagged = policy.flagged(guard.info.name, guard.info.threshold, verdict)
                counts.add(verdict, flagged)
                sink.write(_line({**row, **_fields(verdict, flagged)}))
            sink.flush()
    if counts.rows and counts.unassessed == counts.rows:
        cause, _ = counts.causes.most_common(1)[0]
        raise UnreachableError(f"Not one of {counts.rows} rows could be assessed: {cause}.", "Check the guard.")
    return counts


def read_rows(source: str | Path) -> Iterator[tuple[Row, Exchange]]:
    """Yield the rows of a JSONL file, or of standard input, with what is to be judged; blank lines are skipped.

    Raises:
        BadFileError: the file cannot be read, or a line is no such row; names line and column.
    """
    name = "standard input" if str(source) == STREAM else source
    try:
        with _reader(source) as lines:
            for number, line in enumerate(lines, 1):
                row = _parsed(name, number, line)
                if row is not None:
                    yield row, _exchange(name, number, row)
    except OSError as error:
        raise BadFileError(
            name, f"It cannot be read: {error.strerror or error}.", next_step="Check the path."
        ) from None


def _parsed(name: str | Path, number: int, line: bytes) -> Row | None:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        column = len(line[: error.start].decode()) + 1
        _bad(name, number, column, f"Byte 0x{line[error.start]:02x} is not UTF-8.", "Save it as UTF-8.")
    if not (text := text.rstrip()):
        return None
    try:
        row = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        _bad(name, number, error.colno, f"Not JSON: {error.msg}.", "Write one object a line.")
    except (ValueError, RecursionError) as error:
        _bad(name, number, 1, f"Not JSON: {error}.", "Write one object a line.")
    if not isinstance(row, dict):
        _bad(name, number, 1, "Not a JSON object.", "Write one object a line.")
    return row


def _exchange(name: str | Path, number: int, row: Row) -> Exchange:
    reply, messages, prompt = row.get("reply"), row.get("messages"), row.get("prompt")
    if reply is not None and not isinstance(reply, str):
        _bad(name, number, 1, "'reply' is no text.", "Write a string, or leave it out to judge the prompt.")
    if messages is None and isinstance(prompt, str):
        return Exchange.of(prompt, reply)
    try:
        turns = tuple(Message(role=m["role"], content=m["content"]) for m in messages or ())
    except (ValidationError, TypeError, KeyError):
        turns = ()
    if not turns:
        found = ", ".join(sorted(row)) or "nothing"
        _bad(
            name,
            number,
            1,
            f"There is no 'prompt' text and no 'messages' with role and content (found: {found}).",
            "Name the field with the text 'prompt'.",
        )
    if reply is None and turns[-1].role == "assistant":
        return Exchange(conversation=turns[:-1], reply=turns[-1].content)
    return Exchange(conversation=turns, reply=reply)


def _fields(verdict: Verdict, flagged: bool | None) -> Row:
    return {
        "outcome": verdict.outcome.value,
        "score": verdict.score,
        "flagged": flagged,
        "findings": [finding.model_dump(mode="json") for finding in verdict.findings],
        "reason": verdict.reason,
    }


def _line(row: Row) -> bytes:
    text = json.dumps(row, ensure_ascii=False) + "\n"
    return text.encode() if not _SURROGATE.search(text) else (json.dumps(row) + "\n").encode()


def _batches(rows: Iterator[tuple[Row, Exchange]], size: int) -> Iterable[list[tuple[Row, Exchange]]]:
    while batch := list(islice(rows, size)):
        yield batch


@contextmanager
def _reader(source: str | Path) -> Iterator[IO[bytes]]:
    if str(source) == STREAM:
        yield sys.stdin.buffer
        return
    with Path(source).open("rb") as lines:
        yield lines


@contextmanager
def _writer(out: str | Path) -> Iterator[IO[bytes]]:
    if str(out) == STREAM:
        yield sys.stdout.buffer
        return
    out = Path(out)
    if out.is_dir():
        raise UsageError(f"{out} cannot be written: it is a folder.", "Name a file in it.")
    part = out.with_name(out.name + ".part")
    try:
        with part.open("wb") as sink:
            yield sink
        part.replace(out)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror or error}.", "Choose another --out."
        ) from None
    finally:
        with suppress(OSError):
            part.unlink()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _bad(name: str | Path, line: int, column: int, message: str, next_step: str) -> NoReturn:
    raise BadFileError(name, message, line=line, column=column, next_step=next_step)
