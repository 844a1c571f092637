"""``harmless check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import anyio

from harmless.check import Summary
from harmless.check import check as run_check
from harmless.cli.checking import Checking
from harmless.cli.console import err, live, print_json, show_plan, show_summary
from harmless.cli.options import COUNT, Asking, Workspace, open_store


def check(
    target: str = "embedded",
    /,
    *,
    checking: Checking = Checking(),  # noqa: B008 - frozen
    samples: Annotated[int, COUNT] = 1,
    out: Path | None = None,
    json: bool = False,
    workspace: Workspace = None,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> None:
    """Measure how harmful a target is: unsafe rate and over-refusal, by hazard, with intervals.

    The same command goes on with a run that was cut off, and shows a finished one.

    Args:
        target: embedded, embedded:FILE.gguf, openai:MODEL, anthropic:MODEL, hf:PATH, guarded:GUARD:TARGET,
            scripted:FILE.
        samples: ask each prompt so often, with different seeds.
        out: write report.html and report.json into this folder.
        json: print one JSON document instead of tables.
    """
    what = checking.prepared(target, asking, samples)

    async def run() -> Summary:
        try:
            with live("checking", quiet=json) as observe:
                return await run_check(
                    what.target, what.suite, what.policy, store, what.judges, what.options,
                    started=show_plan, observe=observe,
                )  # fmt: skip
        finally:
            await what.target.aclose()

    with open_store(workspace) as store:
        summary = anyio.run(run)
        if out:
            from harmless import report

            for path in report.write(store, summary.run, out=out):
                err.print(f"Wrote {path}")
    if json:
        from harmless.report import check_document

        print_json(check_document(summary))
    else:
        show_summary(summary)
