"""``harmless align compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from harmless.align.proof import Proof, Standing
from harmless.check import Change, Measure, Rate
from harmless.cli.console import err, out, percent, print_json
from harmless.cli.options import COUNT, Workspace, open_store


def compare(
    *runs: str,
    judge: str | None = None,
    rubric: str = "helpfulness",
    limit: Annotated[int | None, COUNT] = None,
    out_: Annotated[Path | None, Parameter(name="--out")] = None,
    json: bool = False,
    workspace: Workspace = None,
) -> None:
    """Put aligned, steered and guarded models side by side: helpful against harmless, with the Pareto front.

    Name one run of the same suite for each target (harmless check TARGET), the model before first. Runs of the
    suite prose (perplexity) and of tasks with options are added where they are named, too.

    Args:
        runs: ids of runs, or their beginnings.
        judge: also let this target compare the replies to benign prompts with the first target's.
        rubric: what the judge goes by; a name or a YAML file.
        limit: let it compare the replies to so many prompts.
        out_: write front.html and front.json into this folder.
        json: print one JSON document instead of a table.
    """
    from harmless import report
    from harmless.align.helpfulness import with_wins
    from harmless.align.proof import prove
    from harmless.guards.llm_judge import llm_judge

    with open_store(workspace) as store:
        proof = prove(store, runs)
        if judge:
            asked = llm_judge(judge, rubric)

            async def judged() -> Proof:
                try:
                    return await with_wins(proof, store, asked, limit=limit)
                finally:
                    await asked.aclose()

            proof = anyio.run(judged)
    if out_:
        for path in report.write_proof(proof, out_):
            err.print(f"Wrote {path}")
    if json:
        print_json(report.proof_document(proof))
    else:
        show_proof(proof)


def show_proof(proof: Proof) -> None:
    """Print targets side by side, and which of them no other beats."""
    from harmless.report.front import finding

    table = Table(title=f"Helpful against harmless on {escape(proof.suite)}", title_justify="left")
    table.add_column("target", overflow="fold")
    shown = [name for name in ("wins", "perplexity") if any(getattr(e, name) for e in proof.standings)]
    for column in ("unsafe", "benign refused", "evasive", *shown):
        table.add_column(column, justify="right")
    for each in proof.standings:
        table.add_row(*_row(each, shown))
    out.print(table)
    out.print(escape(finding(proof)))


def _row(each: Standing, shown: list[str]) -> list[str]:
    name = escape(each.target) + ("\n[dim]on the front[/]" if each.on_front else "")
    further = {"wins": _measure(each.wins), "perplexity": _perplexity(each)}
    return [
        name,
        percent(each.unsafe) + _moved(each.unsafe_change),
        percent(each.over_refusal) + _moved(each.over_refusal_change),
        _short(each.refusals.evasive),
        *(further[column] for column in shown),
    ]


def _moved(change: Change | None) -> str:
    if change is None or change.difference is None:
        return ""
    return f"\n[dim]{100 * change.difference + 0.0:+.1f} points, p {change.p:.2g}[/]"


def _short(rate: Rate) -> str:
    return "-" if rate.rate is None else percent(rate)


def _measure(measure: Measure | None) -> str:
    if measure is None or measure.value is None:
        return "-"
    return (
        f"{100 * measure.value:.1f} %\n[dim]{100 * (measure.low or 0):.1f}–{100 * (measure.high or 1):.1f}[/]"
    )


def _perplexity(each: Standing) -> str:
    if each.perplexity is None or each.perplexity.value is None:
        return "-"
    moved = each.surprise
    change = "" if moved is None or moved.value is None else f"\n[dim]{100 * moved.value:+.1f} %[/]"
    return f"{each.perplexity.value:.1f}{change}"
