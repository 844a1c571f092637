"""``harmless explain bias``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from harmless.cli.console import err, out, print_json
from harmless.data.sources import texts_of
from harmless.explain.bias import bias_sources
from harmless.guards.bias import prompts
from harmless.report.sections import write_page
from harmless.report.sources import bias_finding, bias_page

SHOWN = 12


def bias(
    target: str,
    /,
    *,
    data: str | None = None,
    out_: Annotated[Path | None, Parameter(name="--out")] = None,
    json: bool = False,
) -> None:
    """Show which groups a model treats differently: their terms are exchanged in prompts, all else is equal.

    Measured is how far that moves the log-odds of a refusal, and at which layers. Needs the extra hf.

    Args:
        target: embedded, hf:FOLDER, or a folder of a model or adapter.
        data: prompts that name groups: a suite, a set of the catalog, or a file; default are 36 of our own.
        out_: write bias.html into this folder.
        json: print one JSON document instead of tables.
    """
    from harmless.targets.local import open_model

    found = bias_sources(open_model(target), texts_of(data) if data else prompts())
    if out_:
        err.print(f"Wrote {write_page(bias_page(found), out_, 'bias')}")
    if json:
        print_json(found.model_dump(mode="json"))
        return
    out.print(Text(bias_finding(found)))
    table = Table("group", "axis")
    for column in ("prompts", "shift, nats", "p"):
        table.add_column(column, justify="right")
    for each in found.groups[:SHOWN]:
        p = "-" if each.p is None else f"{each.p:.3f}"
        table.add_row(each.group, each.axis, str(each.prompts), f"{each.shift:+.2f}", p)
    out.print(table)
