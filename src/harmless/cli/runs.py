"""``harmless runs``."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from harmless.cli.console import out, print_json
from harmless.cli.options import Workspace, open_store
from harmless.evidence import RunRecord, Store


def runs(*, json: bool = False, workspace: Workspace = None) -> None:
    """List the runs of the workspace, newest first.

    Args:
        json: print one JSON document instead of a table.
    """
    with open_store(workspace) as store:
        rows: list[dict[str, Any]] = [
            {
                "run": run.id,
                "kind": run.kind,
                "created_at": run.created_at,
                "target": run.target.name,
                "suite": run.suite,
                "state": store.state(run.id),
                "asked": store.counts(run.id)[1],
                # Others than a check decide as they go how often they ask.
                "planned": _planned(store, run) if run.kind == "check" else None,
            }
            for run in store.runs()
        ]
    if json:
        print_json({"runs": rows})
        return
    table = Table("run", "started (UTC)", "target", "kind", "suite", "state", "asked")
    table.columns[1].no_wrap = True
    for row in rows:
        asked = str(row["asked"]) + (f"/{row['planned']}" if row["planned"] is not None else "")
        started = row["created_at"][:16].replace("T", " ")
        names = (row["target"], row["kind"], row["suite"], row["state"])
        table.add_row(row["run"], started, *map(escape, names), asked)
    out.print(table if rows else "No runs yet. Start with: harmless make")


def _planned(store: Store, run: RunRecord) -> int:
    return store.counts(run.id)[0] * int(run.options.get("samples", 1))
