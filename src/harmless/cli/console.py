"""What commands print: tables for people, one JSON document for programs, progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from harmless.check import Change, Comparison, Rate, Summary
from harmless.check import Progress as Counts
from harmless.check.run import Start

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document on standard output."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=1)
    print()


def percent(rate: Rate) -> str:
    """Return a rate with its interval, ``12.1 % (7.5 to 18.9)``."""
    if rate.rate is None:
        return "not assessed"
    return f"{rate.rate:.1%} ({100 * rate.low:.1f} to {100 * rate.high:.1f})".replace("%", " %", 1)


def show_plan(start: Start) -> None:
    """Print what a run is going to ask and what it can find out."""
    plan, smallest = start.plan, start.plan.smallest_difference()
    hazards = len({p.hazard for p in plan.prompts if p.hazard})
    again = f" goes on, {start.made} asked already" if start.resumed else ""
    err.print(f"[bold]{plan.suite}[/] against [bold]{start.run.target.name}[/] (run {start.run.id}{again})")
    err.print(
        f"  {plan.harmful} prompts to refuse over {hazards} hazards, {plan.benign} to answer"
        + (f", {plan.samples} samples each" if plan.samples > 1 else "")
        + (f"; a fall of the unsafe rate by {100 * smallest:.1f} points would show" if smallest else "")
    )


@contextmanager
def live(label: str, *, quiet: bool = False) -> Iterator[Callable[[Counts], None]]:
    """Show a progress bar with live counts while the block runs; the value takes the counts."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=quiet or not err.is_terminal) as progress:
        task = progress.add_task(label, total=None, counts="")

        def observe(counts: Counts) -> None:
            progress.update(
                task,
                total=counts.planned - counts.skipped,
                completed=counts.made,
                counts=f"unsafe {counts.unsafe}/{counts.harmful}  "
                f"refused {counts.refused}/{counts.benign} benign  unassessed {counts.unassessed}",
            )

        yield observe


def show_summary(summary: Summary) -> None:
    """Print the rates and grades of one run."""
    grade = summary.grade or "-"
    settled = "" if summary.grade_settled else " (interval spans several grades)"
    table = Table(title=f"{summary.target} on {summary.suite}: grade {grade}{settled}", title_justify="left")
    for column in ("hazard", "unsafe", "n", "corrected", "over-refusal", "unassessed", "grade"):
        table.add_column(column, justify="left" if column == "hazard" else "right")
    table.add_row("[bold]all[/]", *_cells(summary.unsafe, summary.over_refusal), f"[bold]{grade}[/]")
    for cell in summary.domains:
        mark = "" if cell.grade_settled else "~"
        table.add_row(cell.name, *_cells(cell.unsafe, cell.over_refusal), f"{mark}{cell.grade or '-'}")
    out.print(table)
    worst = [cell for cell in summary.hazards if cell.unsafe.rate]
    worst.sort(key=lambda cell: (-cell.unsafe.low, cell.name))
    if worst:
        out.print("Worst hazards: " + "; ".join(f"{c.name} {c.unsafe.rate:.0%}" for c in worst[:5]))
    _show_causes(summary)


def show_comparison(comparison: Comparison) -> None:
    """Print before, after and what changed."""
    before, after = comparison.before, comparison.after
    table = Table(title=f"{before.target} -> {after.target} on {after.suite}", title_justify="left")
    for column in ("", "before", "after", "change", "p (exact McNemar)"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("unsafe replies", *_change(comparison.unsafe))
    table.add_row("  corrected for judge errors", *(_corrected(s.unsafe) for s in (before, after)), "", "")
    table.add_row("refused benign prompts", *_change(comparison.over_refusal))
    table.add_row("grade", before.grade or "-", after.grade or "-", "", "")
    table.add_row("unassessed", *(str(sum(s.causes.values())) for s in (before, after)), "", "")
    out.print(table)
    unsafe, refused = comparison.unsafe, comparison.over_refusal
    out.print(
        f"{unsafe.fixed} unsafe replies fixed, {unsafe.broke} new; "
        f"{refused.broke} benign prompts newly refused, {refused.fixed} newly answered."
    )
    better = [h for h in comparison.hazards if h.unsafe.p_holm is not None and h.unsafe.p_holm < 0.05]
    if better:
        out.print("Changed beyond chance (Holm): " + ", ".join(h.name for h in better))


def _cells(unsafe: Rate, over_refusal: Rate) -> tuple[str, ...]:
    missing = unsafe.unassessed + over_refusal.unassessed
    return percent(unsafe), str(unsafe.n), _corrected(unsafe), percent(over_refusal), str(missing)


def _corrected(rate: Rate) -> str:
    return "-" if rate.corrected is None else f"{100 * rate.corrected:.1f} %"


def _change(change: Change) -> tuple[str, ...]:
    if change.difference is None or change.low is None or change.high is None:
        return percent(change.before), percent(change.after), "-", "-"
    points = f"{100 * change.difference:+.1f} ({100 * change.low:+.1f} to {100 * change.high:+.1f}) points"
    return percent(change.before), percent(change.after), points, f"{change.p:.2g}"


def _show_causes(summary: Summary) -> None:
    for cause, count in summary.causes.items():
        out.print(f"Unassessed: {count} x {cause}")
    if summary.asked < summary.planned and not summary.settled_early:
        out.print(f"{summary.planned - summary.asked} of {summary.planned} not asked ({summary.state}).")
    if summary.settled_early:
        out.print(f"Settled early: {len(summary.settled_early)} groups.")
