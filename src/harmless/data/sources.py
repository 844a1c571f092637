"""Texts of anything that has a name: a suite, a set of the catalog, a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harmless.data.catalog import catalog
from harmless.data.files import is_data_file, read_rows
from harmless.data.sets import load
from harmless.data.suites import BUILTIN, load_suite
from harmless.data.validate import last_text
from harmless.errors import BadFileError, UnknownNameError

#: Columns that hold the text of a prompt, the likeliest first.
_TEXT = ("prompt", "text", "question", "query", "instruction", "goal", "messages", "harmful")


def texts_of(name: str) -> list[str]:
    """Return the texts of a suite, of a set of the catalog (``NAME`` or ``NAME=PATH``), or of a file.

    A file need not be one of the catalog: its column ``prompt``, ``text``, ``question``, ``query``,
    ``instruction``, ``goal``, ``messages`` (the last one) or both twins are taken.

    Raises:
        UnknownNameError: neither a suite nor a set nor a file.
        BadFileError: a file without any of these columns.
    """
    known, equals, path = name.partition("=")
    if equals and known in catalog():
        return [item.text for item in load(known, path=path).items]
    if name in BUILTIN:
        return [prompt.text for prompt in load_suite(name).prompts]
    if name in catalog():
        return [item.text for item in load(name).items]
    if not is_data_file(name) and not Path(name).exists():
        raise UnknownNameError("data", name, [*BUILTIN, *catalog(), "NAME=FILE", "FILE.jsonl"])
    return [text for line, row in read_rows(name) for text in _texts(Path(name), line, row)]


def _texts(path: Path, line: int, row: Mapping[str, Any]) -> Iterable[str]:
    for column in _TEXT:
        value = row.get(column)
        if not value:
            continue
        if column == "harmful" and row.get("benign"):
            return last_text(value), last_text(row["benign"])
        if isinstance(value, str):
            return (value,)
        if column == "messages" and isinstance(value, list) and isinstance(value[-1], Mapping):
            return (str(value[-1].get("content", "")),)
    raise BadFileError(
        path,
        f"No text in it (found: {', '.join(map(str, row))}).",
        line=line,
        next_step="Name the column with the text 'prompt', or say NAME=FILE for a set of the catalog.",
    )
