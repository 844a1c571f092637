"""Reading data files of the published kinds, with the place of every mistake.

JSONL, JSON, CSV, TSV, plain text (one row a line, column ``text``) and Parquet; all but Parquet also gzipped.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from harmless.errors import BadFileError, MissingExtraError

Row: TypeAlias = tuple[int, dict[str, Any]]

_WIDEST_CELL = 1 << 27
_BLANK = " \t\r\n"


def read_rows(path: str | Path) -> Iterator[Row]:
    """Yield (line number, row) of a file; the number of a Parquet row counts rows, not lines.

    Empty cells of CSV and TSV are None.

    Raises:
        BadFileError: the file is missing, not text, or a line is not what its format asks for; names the
            file, the line and, for JSON, the column.
        MissingExtraError: a Parquet file without the extra ``data``.
    """
    path = Path(path)
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind == "parquet":
        return _parquet_rows(path)
    if kind not in _READERS:
        known = ", ".join(f".{name}" for name in (*_READERS, "parquet"))
        raise BadFileError(path, f"'.{kind}' files cannot be read.", next_step=f"Use one of {known}.")
    return _READERS[kind](path, _read_text(path))


def is_data_file(name: str) -> bool:
    """Return whether a name ends like a file that :func:`read_rows` reads."""
    kind = name.lower().removesuffix(".gz").rpartition(".")[2]
    return "." in name and (kind in _READERS or kind == "parquet")


def _read_text(path: Path) -> str:
    try:
        raw = _unzipped(path) if path.suffix.lower() == ".gz" else path.read_bytes()
    except FileNotFoundError:
        raise BadFileError(path, "There is no such file.", next_step="Check the path.") from None
    except (OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadFileError(path, f"It cannot be read: {reason}.") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadFileError(
            path, f"Byte 0x{raw[error.start]:02x} is not UTF-8.", line=line, next_step="Save the file as UTF-8."
        ) from None


def _unzipped(path: Path) -> bytes:
    parts: list[bytes] = []
    try:
        with gzip.open(path) as file:
            while part := file.read1():  # in pieces, to know how far a truncated file goes
                parts.append(part)
    except EOFError:
        line = b"".join(parts).count(b"\n") + 1
        raise BadFileError(
            path, "The gzip file is truncated here.", line=line, next_step="Fetch the whole file again."
        ) from None
    return b"".join(parts)


def _jsonl_rows(path: Path, text: str) -> Iterator[Row]:
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


def _json_rows(path: Path, text: str) -> Iterator[Row]:
    """Yield the objects of an array, or those that follow one another (JSON Lines under another name)."""
    place, line, counted = _after_blank(text, 0), 1, 0
    in_array = text.startswith("[", place)
    place += in_array
    decoder = json.JSONDecoder()
    while (place := _after_blank(text, place, "," if in_array else "")) < len(text):
        line, counted = line + text.count("\n", counted, place), place
        if in_array and text[place] == "]":
            return
        try:
            row, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise BadFileError(path, f"Not JSON: {error.msg}.", line=error.lineno, column=error.colno) from None
        if not isinstance(row, dict):
            raise BadFileError(
                path, "Not a JSON object.", line=line, next_step="An array of objects is wanted."
            )
        yield line, row
    if in_array:
        line += text.count("\n", counted)
        raise BadFileError(path, "The array does not end.", line=line, next_step="Fetch the whole file again.")


def _after_blank(text: str, place: int, also: str = "") -> int:
    while place < len(text) and (text[place] in _BLANK or text[place] in also):
        place += 1
    return place


def _csv_rows(path: Path, text: str, delimiter: str = ",") -> Iterator[Row]:
    csv.field_size_limit(_WIDEST_CELL)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise BadFileError(
                    path,
                    f"Expected {len(reader.fieldnames or [])} columns.",
                    line=reader.line_num,
                    next_step="Quote fields that hold the separator or line breaks.",
                )
            yield reader.line_num, {k: v or None for k, v in row.items()}
    except csv.Error as error:
        raise BadFileError(path, f"Not CSV: {error}.", line=reader.reader.line_num) from None


def _tsv_rows(path: Path, text: str) -> Iterator[Row]:
    return _csv_rows(path, text, "\t")


def _text_rows(_: Path, text: str) -> Iterator[Row]:
    lines = ((number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1))
    return ((number, {"text": line}) for number, line in lines if line.strip())


_READERS: dict[str, Callable[[Path, str], Iterator[Row]]] = {
    "jsonl": _jsonl_rows,
    "json": _json_rows,
    "csv": _csv_rows,
    "tsv": _tsv_rows,
    "txt": _text_rows,
}


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise MissingExtraError("Reading Parquet", "data") from None
    if not path.is_file():
        raise BadFileError(path, "There is no such file.", next_step="Check the path.")
    try:
        number = 0
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise BadFileError(path, f"Not Parquet: {reason}", next_step="Fetch the whole file again.") from None
