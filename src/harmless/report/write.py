"""Reports on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harmless.errors import UnknownNameError, UsageError
from harmless.evidence import Store
from harmless.report.build import build
from harmless.report.model import Report
from harmless.report.page import render_html


def report_document(report: Report) -> dict[str, Any]:
    """Return the machine form of a report; its schema is ``report``. It holds no text of prompts or replies."""
    return report.model_dump(mode="json")


def render_json(report: Report) -> str:
    """Return the machine form of a report as JSON text."""
    return json.dumps(report_document(report), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


FORMATS: Mapping[str, Callable[[Report], str]] = {"html": render_html, "json": render_json}
"""Format (and file name extension) -> how a report is rendered in it."""


def write(
    store: Store, run: str, *, before: str | None = None, out: Path, formats: Sequence[str] = ("html", "json")
) -> list[Path]:
    """Write the report of ``run``, compared with the run ``before`` if given, into the folder ``out``.

    Every file is written beside its place and moved there when all are complete: a reader never meets half a
    report.

    Returns:
        The paths, ``report.html`` and ``report.json``, in the order of ``formats``.

    Raises:
        UnknownNameError: there is no such run or format.
        UnlikePlansError: the two runs did not ask the same thing in the same way.
        UsageError: the folder cannot be written.
    """
    for name in formats:
        if name not in FORMATS:
            raise UnknownNameError("report format", name, FORMATS)
    report = build(store, run, before=before)
    return _replace(Path(out), {f"report.{name}": FORMATS[name](report) for name in formats})


def _replace(folder: Path, files: Mapping[str, str]) -> list[Path]:
    parts = {folder / name: folder / f".{name}.{os.getpid()}.part" for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, part in parts.items():
            part.write_text(files[path.name], encoding="utf-8", errors="backslashreplace", newline="\n")
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        for part in parts.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)
        raise UsageError(
            f"The report cannot be written to {folder}: {error.strerror or error}.",
            "Free some space or choose another --out.",
        ) from error
    return list(parts)
