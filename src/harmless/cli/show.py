"""``harmless show``."""

from __future__ import annotations

from harmless.check import breakdown, grade
from harmless.cli.console import print_json, show_breakdown, show_summary
from harmless.cli.options import Workspace, open_store
from harmless.evidence import Store


def show(
    run: str = "latest", /, *, by: str | None = None, json: bool = False, workspace: Workspace = None
) -> None:
    """Show what a run found.

    Args:
        run: id of the run, or its beginning, or `latest`.
        by: break it down by source, domain, task, category, language, licence, expect or meta.KEY; an attack by
            domain, task or category.
        json: print one JSON document instead of tables.
    """
    with open_store(workspace) as store:
        record = store.run(run)
        if record.kind == "attack":
            _show_attack(store, record.id, by, json=json)
            return
        if by:
            parts = breakdown(store, record, by)
            print_json(parts.model_dump(mode="json")) if json else show_breakdown(parts)
            return
        summary = grade(store, record)
    if json:
        from harmless.report import check_document

        print_json(check_document(summary))
    else:
        show_summary(summary)


def _show_attack(store: Store, run: str, by: str | None, *, json: bool) -> None:
    from harmless.attacks import results
    from harmless.attacks.by_hazard import by_hazard
    from harmless.cli.attack import show_results
    from harmless.cli.attack_tables import show_by_hazard

    if by:
        parts = by_hazard(store, run, by)
        print_json(parts.model_dump(mode="json")) if json else show_by_hazard(parts)
        return
    found = results(store, run)
    print_json(found.model_dump(mode="json")) if json else show_results(found)
