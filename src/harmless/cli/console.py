"""What commands print: tables for people, one JSON document for programs, progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from harmless.check import Breakdown, Change, Comparison, Measure, Rate, Summary
from harmless.check import Progress as Counts
from harmless.check.caveats import SHARED_PARTS, of_prompts
from harmless.check.run import Start

out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document on standard output."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=1)
    print()


def percent(rate: Rate) -> str:
    """Return a rate with its interval below, so that a table fits 80 columns."""
    if rate.rate is None:
        return "not assessed"
    return f"{100 * rate.rate:.1f} %\n[dim]{100 * rate.low:.1f}–{100 * rate.high:.1f}[/]"


def show_plan(start: Start) -> None:
    """Print what a run is going to ask and what it can find out."""
    plan, smallest = start.plan, start.plan.smallest_difference()
    hazards = len({p.hazard for p in plan.prompts if p.hazard})
    left = len(plan.prompts) * plan.samples - start.made
    again = ""
    if start.resumed:
        again = f" goes on, {start.made} asked already" if left else ", all asked already"
    err.print(
        f"[bold]{plan.suite}[/] against [bold]{escape(start.run.target.name)}[/] (run {start.run.id}{again})"
    )
    asked = [f"{plan.harmful} prompts to refuse over {hazards} hazards", f"{plan.benign} to answer"]
    asked = asked if plan.harmful or plan.benign else []
    if plan.choices:
        asked.append(f"{plan.choices} questions with options" + " (by likelihood)" * plan.likelihood)
    err.print(
        "  "
        + ", ".join(asked)
        + (f", {plan.samples} samples each" if plan.samples > 1 else "")
        + (f"; a fall of the unsafe rate by {100 * smallest:.1f} points would show" if smallest else "")
    )
    for caveat in of_prompts(plan.prompts):
        err.print(f"  Note: {escape(caveat)}")


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
                counts="  ".join(_counts(counts)),
            )

        yield observe


def _counts(counts: Counts) -> Iterator[str]:
    if counts.harmful or counts.benign:
        yield f"unsafe {counts.unsafe}/{counts.harmful}"
        yield f"refused {counts.refused}/{counts.benign} benign"
    if counts.questions:
        yield f"right {counts.right}/{counts.questions}"
    yield f"unassessed {counts.unassessed}"


def show_summary(summary: Summary) -> None:
    """Print the rates and grades of one run, and the measures of its suite."""
    if summary.rated or not summary.measures:
        _show_rates(summary)
    if summary.measures:
        _show_measures(summary)
    _show_causes(summary)


def show_breakdown(breakdown: Breakdown) -> None:
    """Print a run by one property of its prompts."""
    kinds = ("unsafe", "over_refusal", "accuracy")
    rates = {kind: [getattr(part, kind) for part in breakdown.parts] for kind in kinds}
    shown = [kind for kind in kinds if any(rate and rate.n + rate.unassessed for rate in rates[kind])]
    table = Table(title=f"{breakdown.target} on {breakdown.suite} by {breakdown.by}", title_justify="left")
    table.add_column(breakdown.by)
    for column in ("asked", "share", *(kind.replace("_", "-") for kind in shown)):
        table.add_column(column, justify="right")
    for i, part in enumerate(breakdown.parts):
        cells = (percent(rates[kind][i]) if rates[kind][i] else "-" for kind in shown)
        table.add_row(part.name, str(part.asked), f"{part.asked / breakdown.asked:.1%}", *cells)
    out.print(table)
    if breakdown.unplaced:
        out.print(f"{breakdown.unplaced} of {breakdown.asked} have no {breakdown.by}.")


def _show_measures(summary: Summary) -> None:
    """Print the measures of all rows and of the widest grouping; the report has all."""
    widest = next((m.by for m in summary.measures if m.by), "")
    table = Table(title=f"{escape(summary.target)} on {summary.suite}: {summary.metric}", title_justify="left")
    for column in ("", "measure", "value", "n", "unassessed"):
        table.add_column(column, justify="left" if column in ("", "measure") else "right")
    for measure in summary.measures:
        if measure.by in ("", widest):
            counts = str(measure.n), str(measure.unassessed)
            table.add_row(measure.label or "[bold]all[/]", measure.name, figure(measure), *counts)
    out.print(table)


def figure(measure: Measure) -> str:
    """Return a measure with its interval below: a share in percent, a score as a number."""
    if measure.value is None:
        return "not assessed"
    scale, digits, unit = (100, 1, " %") if measure.unit == "share" else (1, 3, "")
    ends = ("…" if end is None else f"{scale * end:.{digits}f}" for end in (measure.low, measure.high))
    interval = "" if measure.low is None and measure.high is None else f"\n[dim]{' to '.join(ends)}[/]"
    return f"{scale * measure.value:.{digits}f}{unit}{interval}"


def _show_rates(summary: Summary) -> None:
    grade = summary.grade or "-"
    settled = "" if summary.grade_settled else " (interval spans several grades)"
    table = Table(
        title=f"{escape(summary.target)} on {summary.suite}: grade {grade}{settled}", title_justify="left"
    )
    table.add_column("hazard")
    for column in ("unsafe", "n", "corrected", "over-refusal", "grade"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_row("[bold]all[/]", *_cells(summary.unsafe, summary.over_refusal), f"[bold]{grade}[/]")
    for cell in summary.domains:
        mark = "" if cell.grade_settled else "~"
        table.add_row(cell.name, *_cells(cell.unsafe, cell.over_refusal), f"{mark}{cell.grade or '-'}")
    out.print(table)
    worst = [cell for cell in summary.hazards if cell.unsafe.rate]
    worst.sort(key=lambda cell: (-cell.unsafe.low, cell.name))
    if worst:
        out.print("Worst hazards: " + "; ".join(f"{c.name} {c.unsafe.rate:.0%}" for c in worst[:5]))


def show_comparison(comparison: Comparison) -> None:
    """Print before, after and what changed."""
    before, after = comparison.before, comparison.after
    table = Table(
        title=f"{escape(before.target)} -> {escape(after.target)} on {after.suite}", title_justify="left"
    )
    for column in ("", "before", "after", "change", "p (McNemar)"):
        table.add_column(column, justify="right" if column else "left")
    unsafe, refused, accuracy = comparison.unsafe, comparison.over_refusal, comparison.accuracy
    if unsafe.pairs or refused.pairs or accuracy is None:
        table.add_row("unsafe replies", *change_cells(unsafe))
        table.add_row("  corrected for judge", *(_corrected(s.unsafe) for s in (before, after)), "", "")
        table.add_row("refused benign prompts", *change_cells(refused))
        table.add_row("grade", before.grade or "-", after.grade or "-", "", "")
    if accuracy:
        table.add_row("right choices", *change_cells(accuracy))
    table.add_row("unassessed", *(str(sum(s.causes.values())) for s in (before, after)), "", "")
    out.print(table)
    if unsafe.pairs or refused.pairs:
        out.print(
            f"{unsafe.fixed} unsafe replies fixed, {unsafe.broke} new; "
            f"{refused.broke} benign prompts newly refused, {refused.fixed} newly answered."
        )
    if accuracy:
        out.print(f"{accuracy.fixed} wrong choices now right, {accuracy.broke} right ones now wrong.")
    _show_uncorrected(after)
    for caveat in after.caveats:
        out.print(f"Note: {escape(caveat)}")
    better = [h for h in comparison.hazards if h.unsafe.p_holm is not None and h.unsafe.p_holm < 0.05]
    if better:
        out.print("Changed beyond chance (Holm): " + ", ".join(h.name for h in better))


def _cells(unsafe: Rate, over_refusal: Rate) -> tuple[str, ...]:
    return percent(unsafe), str(unsafe.n), _corrected(unsafe), percent(over_refusal)


def _corrected(rate: Rate) -> str:
    return "-" if rate.corrected is None else f"{100 * rate.corrected:.1f} %"


def change_cells(change: Change) -> tuple[str, ...]:
    """Return a paired difference as cells: before, after, change and p, with intervals below."""
    if change.difference is None or change.low is None or change.high is None:
        return percent(change.before), percent(change.after), "-", "-"
    difference, low, high = (round(100 * x, 1) + 0.0 for x in (change.difference, change.low, change.high))
    points = f"{difference:+.1f} points\n[dim]{low:+.1f} to {high:+.1f}[/]"
    return percent(change.before), percent(change.after), points, f"{change.p:.2g}"


def _show_uncorrected(summary: Summary) -> None:
    # The caveat says the same in more words.
    if summary.uncorrected and summary.unsafe.n and SHARED_PARTS not in summary.caveats:
        out.print(f"Not corrected for the judge: {summary.uncorrected}.")


def _show_causes(summary: Summary) -> None:
    _show_uncorrected(summary)
    for caveat in summary.caveats:
        out.print(f"Note: {escape(caveat)}")
    for cause, count in summary.causes.items():
        out.print(f"Unassessed: {count} x {escape(cause)}")
    if summary.asked < summary.planned and not summary.settled_early:
        out.print(f"{summary.planned - summary.asked} of {summary.planned} not asked ({summary.state}).")
    if summary.settled_early:
        out.print(f"Settled early: {len(summary.settled_early)} groups.")
