"""``harmless explain oversight``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from harmless.cli.console import err, out, print_json
from harmless.cli.options import Workspace, open_store
from harmless.explain.oversight import Decision, oversee
from harmless.report.decision import decision_finding, decision_page
from harmless.report.sections import write_page
from harmless.report.text import visible


def oversight(
    run: str,
    attempt: str,
    /,
    *,
    target: str | None = None,
    out_: Annotated[Path | None, Parameter(name="--out")] = None,
    json: bool = False,
    workspace: Workspace = None,
) -> None:
    """Take one decision of a run apart for a person who reviews it; as one page with --out.

    The verdicts, the smallest edit that would flip each guard, reasons to doubt, and what to compare with.

    Args:
        run: id of the run, or its beginning, or `latest`.
        attempt: number of the attempt, or id of its prompt.
        target: also show which words drove this model, where it is a local one (extra hf).
        out_: write decision.html into this folder; texts are covered until they are asked for.
        json: print one JSON document, with the texts.
    """
    with open_store(workspace) as store:
        found = anyio.run(oversee, store, run, attempt)
    drove = None
    if target:
        from harmless.explain.attribution import attribute
        from harmless.targets.local import open_model

        drove = attribute(open_model(target), found.prompt, ["ablation"])
    if out_:
        err.print(f"Wrote {write_page(decision_page(found, drove), out_, 'decision')}")
    if json:
        document = found.model_dump(mode="json")
        print_json({**document, "drove": drove.model_dump(mode="json") if drove else None})
        return
    _show(found)


def _show(found: Decision) -> None:
    out.print(f"[bold]Attempt {found.attempt}[/] of run {found.run}: {escape(found.target)}")
    out.print(Text(decision_finding(found)))
    table = Table("guard", "decision")
    table.add_column("score", justify="right")
    table.add_column("threshold", justify="right")
    table.add_column("hangs on", overflow="fold")
    for each in found.judged:
        word = "unassessed" if each.flagged is None else "flagged" if each.flagged else "let pass"
        score = "-" if each.score is None else f"{each.score:.2f}"
        edit = each.edit
        hangs = f"{len(edit.spans)} words" if edit and edit.flips else "no edit flips it" if edit else each.note
        table.add_row(escape(each.guard), word, score, f"{each.threshold:.2f}", escape(hangs))
    out.print(table)
    for doubt in found.doubts:
        out.print(Text(f"- {visible(doubt)}"))
    out.print("[dim]Prompt and reply are not printed here; --out writes a page with them covered.[/]")
