"""``harmless show``."""

from __future__ import annotations

from harmless.check import breakdown, grade
from harmless.cli.console import print_json, show_breakdown, show_summary
from harmless.cli.options import Workspace, open_store


def show(
    run: str = "latest", /, *, by: str | None = None, json: bool = False, workspace: Workspace = None
) -> None:
    """Show what a run found.

    Args:
        run: id of the run, or its beginning, or `latest`.
        by: break it down by source, domain, task, category, language, licence, expect or meta.KEY.
        json: print one JSON document instead of tables.
    """
    if by:
        with open_store(workspace) as store:
            parts = breakdown(store, store.run(run), by)
        print_json(parts.model_dump(mode="json")) if json else show_breakdown(parts)
        return
    with open_store(workspace) as store:
        summary = grade(store, store.run(run))
    if json:
        from harmless.report import check_document

        print_json(check_document(summary))
    else:
        show_summary(summary)
