"""``harmless show``."""

from __future__ import annotations

from harmless.check import grade
from harmless.cli.console import print_json, show_summary
from harmless.cli.options import Workspace, open_store


def show(run: str = "latest", /, *, json: bool = False, workspace: Workspace = None) -> None:
    """Show what a run found.

    Args:
        run: id of the run, or its beginning, or `latest`.
        json: print one JSON document instead of tables.
    """
    with open_store(workspace) as store:
        summary = grade(store, store.run(run))
    if json:
        from harmless.report import check_document

        print_json(check_document(summary))
    else:
        show_summary(summary)
