"""``harmless report``."""

from __future__ import annotations

from pathlib import Path

from harmless.cli.console import out as console
from harmless.cli.options import Workspace, open_store


def report(
    run: str = "latest",
    /,
    *,
    before: str | None = None,
    out: Path = Path("harmless-report"),
    workspace: Workspace = None,
) -> None:
    """Write report.html and report.json of a run.

    Args:
        run: id of the run, or its beginning, or `latest`.
        before: id of an earlier run of the same plan to compare with.
        out: folder to write into.
    """
    from harmless.report import write

    with open_store(workspace) as store:
        for path in write(store, run, before=before, out=out):
            console.print(f"Wrote {path}")
