"""Reading JSONL and CSV, with the place of every mistake."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harmless.errors import BadFileError

Row = tuple[int, dict[str, Any]]


def read_rows(path: str | Path) -> Iterator[Row]:
    """Yield (line number, row) of a ``.jsonl`` or ``.csv`` file, also gzipped (``.gz``).

    Raises:
        BadFileError: the file is missing, not text, or a line is not what its format asks for; names the
            file, the line and, for JSON, the column.
    """
    path = Path(path)
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind not in ("jsonl", "csv"):
        raise BadFileError(path, f"'.{kind}' files cannot be read.", next_step="Use .jsonl or .csv.")
    text = _read_text(path)
    yield from (_csv_rows(path, text) if kind == "csv" else _json_rows(path, text))


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix.lower() == ".gz" else raw
    except FileNotFoundError:
        raise BadFileError(path, "There is no such file.", next_step="Check the path.") from None
    except EOFError:
        raise BadFileError(path, "The gzip file is truncated.", next_step="Fetch it again.") from None
    except OSError as error:
        raise BadFileError(path, f"It cannot be read: {error.strerror or error}.") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadFileError(
            path, f"Byte 0x{raw[error.start]:02x} is not UTF-8.", line=line, next_step="Save the file as UTF-8."
        ) from None


def _json_rows(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadFileError(
                path, f"Not JSON: {error.msg}.", line=number, column=error.colno, next_step="One object a line."
            ) from None
        if not isinstance(row, dict):
            raise BadFileError(path, "Not a JSON object.", line=number, next_step="One object a line.")
        yield number, row


def _csv_rows(path: Path, text: str) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise BadFileError(
                    path,
                    f"Expected {len(reader.fieldnames or [])} columns.",
                    line=reader.line_num,
                    next_step="Quote fields that hold commas or line breaks.",
                )
            yield reader.line_num, {k: v for k, v in row.items() if v != ""}
    except csv.Error as error:
        raise BadFileError(path, f"Not CSV: {error}.", line=reader.line_num) from None
