"""``harmless compare``."""

from __future__ import annotations

from pathlib import Path

from harmless.check import compare as compare_runs
from harmless.cli.console import err, print_json, show_comparison
from harmless.cli.options import Workspace, open_store


def compare(
    before: str, after: str, /, *, out: Path | None = None, json: bool = False, workspace: Workspace = None
) -> None:
    """Compare two runs of the same plan, prompt by prompt: what was fixed, what broke.

    Args:
        before: id (or its beginning) of the first run.
        after: id of the second run, or `latest`.
        out: write report.html and report.json into this folder.
        json: print one JSON document instead of a table.
    """
    from harmless import report

    with open_store(workspace) as store:
        comparison = compare_runs(store, before, after)
        if out:
            for path in report.write(store, comparison.after.run, before=comparison.before.run, out=out):
                err.print(f"Wrote {path}")
    if json:
        print_json(report.comparison_document(comparison))
    else:
        show_comparison(comparison)
