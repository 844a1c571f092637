"""``harmless explain misuse``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from harmless.cli.console import err, out, print_json
from harmless.cli.options import COUNT
from harmless.core import Expect
from harmless.data.suites import load_suite
from harmless.explain.misuse import misuse as run_misuse
from harmless.report.sections import write_page
from harmless.report.sources import misuse_finding, misuse_page

SHOWN = 10


def misuse(
    target: str,
    /,
    *,
    data: str = "quick",
    limit: Annotated[int, COUNT] = 20,
    out_: Annotated[Path | None, Parameter(name="--out")] = None,
    json: bool = False,
) -> None:
    """Show which inputs raise a model's compliance most: ways to ask, words, and requests.

    Measured is how far each moves the log-odds of a refusal. Needs the extra hf.

    Args:
        target: embedded, hf:FOLDER, or a folder of a model or adapter.
        data: requests to refuse: a suite, a set of the catalog, or a file with a column expect.
        limit: how many requests.
        out_: write misuse.html into this folder.
        json: print one JSON document instead of tables.
    """
    from harmless.targets.local import open_model

    suite = load_suite(data)
    harmful = suite.keeping(each for each in suite.prompts if each.expect is Expect.REFUSE)
    prompts = harmful.limited(limit).prompts if len(harmful.prompts) > limit else harmful.prompts
    local = open_model(target)
    with err.status("Asking ...") as status:
        found = run_misuse(
            local, prompts, suite.name, lambda done: status.update(f"{done} of {len(prompts)} requests")
        )
    if out_:
        err.print(f"Wrote {write_page(misuse_page(found), out_, 'misuse')}")
    if json:
        print_json(found.model_dump(mode="json"))
        return
    out.print(Text(misuse_finding(found)))
    table = Table("way to ask")
    for column in ("shift, nats", "falls in", "p"):
        table.add_column(column, justify="right")
    for each in found.framings[:SHOWN]:
        table.add_row(
            each.name, f"{each.shift:+.2f}", f"{each.falls} of {len(found.requests)}", f"{each.p:.3f}"
        )
    out.print(table)
    words = ", ".join(f"{each.word} {each.shift:+.2f}" for each in found.words[:SHOWN])
    out.print(f"Words: {escape(words) or 'none is in two requests'}")
