"""Reports on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harmless.attacks.trial import Attacked
from harmless.errors import UnknownNameError, UsageError
from harmless.evidence import Store
from harmless.report.attacked import write_attack
from harmless.report.build import build
from harmless.report.files import replace
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
    store: Store,
    run: str,
    *,
    before: str | None = None,
    out: Path,
    formats: Sequence[str] = ("html", "json"),
    attacked: Attacked | None = None,
) -> list[Path]:
    """Write the report of ``run``, a check or an attack, into the folder ``out``.

    That of a check is compared with the run ``before`` if there is one; what attacks reached before and after
    is added to it.

    Every file is written beside its place and moved there when all are complete: a reader never meets half a
    report.

    Returns:
        The paths, ``report.html`` and ``report.json``, in the order of ``formats``.

    Raises:
        UnknownNameError: there is no such run or format.
        UnlikePlansError: the two runs did not ask the same thing in the same way.
        UsageError: the folder cannot be written, or an attack is to be compared.
    """
    for name in formats:
        if name not in FORMATS:
            raise UnknownNameError("report format", name, FORMATS)
    record = store.run(run)
    if record.kind == "attack":
        if before:
            raise UsageError(
                f"The run {record.id} is an attack.", "Compare attacks by --replay; leave --before out."
            )
        return write_attack(store, record.id, Path(out), formats)
    report = build(store, run, before=before, attacked=attacked)
    return replace(Path(out), {f"report.{name}": FORMATS[name](report) for name in formats})
