"""Tables of guard benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from harmless.cli.console import err, out
from harmless.guards.bench import Bench, Estimate, GuardResult
from harmless.guards.bench.model import Cascading

MEASURES = {"f1": "F1", "auroc": "AUROC", "recall": "recall", "fpr": "FPR", "recall_at_5_fpr": "R@5% FPR"}
_NUMBERS = {*MEASURES.values(), "ECE"}


@contextmanager
def counting(*, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar a guard while the block runs; the value takes the guard, done, and of how many."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=quiet or not err.is_terminal) as progress:
        tasks = {}

        def observe(name: str, done: int, of: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(escape(name), total=of)
            progress.update(tasks[name], completed=done, total=of)

        yield observe


def show_bench(bench: Bench) -> None:
    """Print the measures, the effort, the paired tests and how robust the guards are."""
    data = bench.data
    out.print(f"[bold]{escape(data.name)}[/]: {data.unsafe:,} unsafe and {data.safe:,} safe rows")
    guards = [guard for guard in bench.guards if guard.reached and guard.counts.rows]
    if guards:
        _show_measures(guards)
        _show_effort(guards)
    if any(guard.sources for guard in guards):
        _show_sources(guards)
    if bench.pairs:
        _show_pairs(bench)
    for cascading in bench.cascades:
        _show_cascade(cascading)
    if any(guard.robustness for guard in guards):
        _show_robustness(guards)
    disagree = sum(each.disagree for each in bench.contested)
    if len(guards) > 1:
        out.print(f"The guards disagree on {disagree:,} rows; bench.html shows them.")
    for note in bench.notes:
        out.print(f"Note: {escape(note)}")


def figure(each: Estimate, digits: int = 3) -> str:
    """Return a value with its interval below, so that a table fits 80 columns."""
    if each.value is None:
        return "-"
    if each.low is None or each.high is None:
        return f"{each.value:.{digits}f}"
    return f"{each.value:.{digits}f}\n[dim]{each.low:.2f}–{each.high:.2f}[/]"


def seconds(value: float | None) -> str:
    """Return a time in the unit that suits it."""
    if value is None:
        return "-"
    if value < 1e-3:
        return f"{1e6 * value:.0f} µs"
    return f"{1e3 * value:.1f} ms" if value < 1 else f"{value:.2f} s"


def _show_measures(guards: list[GuardResult]) -> None:
    table = _table("Measures", *MEASURES.values(), "ECE")
    for guard in guards:
        values = [figure(guard.measures[name]) for name in MEASURES]
        error = guard.measures["ece"].value
        counts = guard.counts
        missing = f"\n[dim]{counts.unassessed} of {counts.rows} unassessed[/]" if counts.unassessed else ""
        table.add_row(escape(guard.spec) + missing, *values, "-" if error is None else f"{error:.3f}")
    out.print(table)


def _show_sources(guards: list[GuardResult]) -> None:
    """Print F1 and AUPRC a source, by which SALAD-Bench compares evaluators, and accuracy."""
    table = _table("By source", "unsafe", "safe", "accuracy", "F1", "AUPRC")
    for guard in guards:
        for each in guard.sources:
            measured = (each.measures[name].value for name in ("accuracy", "f1", "auprc"))
            table.add_row(
                f"{escape(guard.spec)}\n  [dim]{escape(each.name)}[/]",
                str(each.counts.unsafe),
                str(each.counts.safe),
                *("-" if value is None else f"{value:.3f}" for value in measured),
            )
    out.print(table)


def _show_effort(guards: list[GuardResult]) -> None:
    table = _table("Effort", "one, p50", "p95", "p99", "batched, a row", "rows/s", "memory", "$/1000")
    for guard in guards:
        took = guard.effort
        single = [took.single.p50, took.single.p95, took.single.p99] if took.single else [None] * 3
        table.add_row(
            escape(guard.spec),
            *map(seconds, single),
            seconds(took.batched.p50 / took.batched.rows if took.batched else None),
            "-" if took.rows_per_s is None else f"{took.rows_per_s:,.0f}",
            "-" if took.peak_mb is None else f"{took.peak_mb:.0f} MB",
            "-" if took.cost_per_1000 is None else f"{took.cost_per_1000:.3f}",
        )
    out.print(table)


def _show_pairs(bench: Bench) -> None:
    table = _table("Pairs (p by Holm)", "accuracy", "p", "AUROC", "p", "kappa")
    for pair in bench.pairs:
        accuracy, auroc = (
            "-" if each.value is None else f"{each.value:+.3f}" for each in (pair.accuracy, pair.auroc)
        )
        table.add_row(
            f"{escape(pair.first)}\n[dim]less[/] {escape(pair.second)}",
            accuracy,
            f"{pair.p_holm:.2g}",
            auroc,
            "-" if pair.p_auroc_holm is None else f"{pair.p_auroc_holm:.2g}",
            "-" if pair.kappa is None else f"{pair.kappa:.2f}",
        )
    out.print(table)


def _show_cascade(found: Cascading) -> None:
    title = f"{found.cheap}, then {found.expensive}"
    table = _table(escape(title), "escalated", "band", "F1", "recall", "FPR", "AUROC", "a row")
    for step in found.steps:
        values = (step.measures[name].value for name in ("f1", "recall", "fpr", "auroc"))
        table.add_row(
            "",
            f"{step.escalated:.0%}",
            "none" if step.low is None else f"{step.low:.3f}–{step.high:.3f}",
            *("-" if value is None else f"{value:.3f}" for value in values),
            seconds(step.seconds),
        )
    out.print(table)


def _show_robustness(guards: list[GuardResult]) -> None:
    guards = [guard for guard in guards if guard.robustness]
    table = _table(
        "Of the unsafe prompts flagged as they were, still flagged", *(escape(g.spec) for g in guards)
    )
    for rows in zip(*(guard.robustness for guard in guards), strict=True):
        cells = ["-" if kept.kept.value is None else f"{kept.kept.value:.0%}" for kept in rows]
        table.add_row(rows[0].transform.replace("_", " "), *cells)
    out.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table("", title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=column in _NUMBERS)
    return table
