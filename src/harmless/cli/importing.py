"""``harmless import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from rich.markup import escape
from rich.table import Table

from harmless.check import load_judges, load_policy
from harmless.cli.attack import show_results
from harmless.cli.console import out, percent, print_json
from harmless.cli.options import Workspace, open_store

if TYPE_CHECKING:
    from harmless.interop import Import


def import_(
    file: Path,
    /,
    *,
    target: str | None = None,
    judge: str = "judge",
    policy: Path | None = None,
    json: bool = False,
    workspace: Workspace = None,
) -> None:
    """Import results of garak, PyRIT, promptfoo, JailbreakBench or Inspect AI, and judge them with our guards.

    They become an attack in the evidence: harmless show, failures, learn and attack --replay work on it.
    The format is seen by the content. The same command on the same file imports nothing again.

    Args:
        file: report.jsonl of garak, memory of PyRIT as JSON, results of promptfoo as JSON, artifact of
            JailbreakBench, log of Inspect AI as JSON.
        target: which one was attacked, where the file has replies of several.
        judge: the guard that judges the replies in view of what the prompts were after.
        policy: YAML file with thresholds; see `harmless policy`.
        json: print one JSON document instead of tables.
    """
    from harmless.interop import import_results

    rules = load_policy(policy)
    judges = load_judges(judge, rules)

    async def work() -> Import:
        return await import_results(file, store, judges, rules, target=target)

    with open_store(workspace) as store:
        found = anyio.run(work)
    if json:
        print_json(found.model_dump(mode="json"))
        return
    show_results(found.results)
    _show(found)


def _show(found: Import) -> None:
    if found.rescored:
        table = Table(title=f"Replies that {escape(found.tool)} judged, too", title_justify="left")
        table.add_column("attack", overflow="fold")
        for column in ("n", "success: theirs", "ours", "agree", "kappa"):
            table.add_column(column, justify="right")
        for each in found.rescored:
            table.add_row(
                escape(each.attack),
                str(each.ours.n),
                percent(each.theirs),
                percent(each.ours),
                "-" if each.agree is None else f"{each.agree:.0%}",
                "-" if each.kappa is None else f"{each.kappa:.2f}",
            )
        out.print(table)
    for what, count in found.skipped.items():
        out.print(f"Left out: {count} x {escape(what)}")
