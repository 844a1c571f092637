"""``harmless guard case-study``: the K-12 filter study, ours beside the published one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from harmless.check import load_policy
from harmless.cli.bench_tables import counting, figure, seconds
from harmless.cli.console import err, out, print_json
from harmless.cli.guard_bench import UNREACHED
from harmless.guards.bench import GuardResult, Log, Settings
from harmless.guards.bench import bench as run_bench
from harmless.guards.bench.case_study import CaseStudy, case_study_rows, notes, published

GUARDS = ("rules", "embedded", "any(rules,embedded)")
OUT = Path("harmless-case-study")
COLUMNS = ("accuracy", "precision", "recall", "f1")


def case_study(
    *,
    guard: tuple[str, ...] = GUARDS,
    profanity: tuple[str, ...] = (),
    unsafe: tuple[str, ...] = (),
    benign: tuple[str, ...] = (),
    size: int | None = None,
    policy: Path | None = None,
    seed: int = 0,
    out_: Annotated[Path, Parameter(name="--out")] = OUT,
    json: bool = False,
) -> int:
    """Repeat the K-12 filter study: which filter should stand before a school's assistant?

    Takes 500 unsafe prompts (half profanity, half harmful requests) and 500 benign ones, asks each guard about
    all of them, and prints accuracy, precision, recall, F1 and mean latency beside what was published.
    Verdicts are kept: the same command goes on where it was cut off.

    Args:
        guard: a name of `harmless guard list`, with its arguments in brackets; give it several times. An LLM
            with the rubric for schools is `llm_judge(openai:MODEL, k12)`.
        profanity: profane texts: a set of `harmless data list` (NAME or NAME=FILE), or a file; there are none
            built in.
        unsafe: harmful requests, likewise; default the built-in harmful twins.
        benign: benign prompts, likewise; default the built-in everyday prompts and benign twins.
        size: so many unsafe and so many benign prompts; default 500.
        policy: YAML file with the thresholds; see `harmless policy`.
        seed: of the sample.
        out_: folder of verdicts.jsonl, bench.html and case_study.json, which `--json` prints too.
        json: print one JSON document instead of tables.
    """
    from harmless.report import write_case_study

    given = {"profanity": profanity, "unsafe": unsafe, "benign": benign}
    rows, parts = case_study_rows(given, size=size, seed=seed)
    rules = load_policy(policy)
    settings = Settings(seed=seed, robust=0)
    with Log(out_ / "verdicts.jsonl") as log, counting(quiet=json) as progress:
        found = anyio.run(run_bench, guard, rows, rules, settings, log, progress)
    said = tuple(notes(parts))
    found = found.model_copy(update={"notes": (*found.notes, *said)})
    study = CaseStudy(parts=parts, published=published(), bench=found, notes=said)
    paths = write_case_study(study, rows, out_)
    if json:
        print_json(study.model_dump(mode="json"))
    else:
        _show(study)
    for path in paths:
        err.print(f"Wrote {path}")
    return UNREACHED if found.unreached else 0


def _show(study: CaseStudy) -> None:
    counts = ", ".join(f"{part.taken} {part.kind}" for part in study.parts if part.taken)
    out.print(f"[bold]{escape(study.published.title)}[/]: {counts} prompts")
    table = Table("validator", box=None, pad_edge=False)
    for column in ("accuracy", "precision", "recall", "F1", "mean latency"):
        table.add_column(column, justify="right", no_wrap=True)
    known = study.published.measures
    ranges = {name: f"[dim]{each.low:.2f}–{each.high:.2f}[/]" for name, each in known.items()}
    table.add_row(
        "[dim]published, all[/]",
        *(ranges.get(name, "[dim]not known[/]") for name in COLUMNS),
        ranges["mean_latency_s"] + " [dim]s[/]",
    )
    for guard in study.bench.guards:
        table.add_row(*_row(guard))
    out.print(table)
    for note in study.bench.notes:
        out.print(f"Note: {escape(note)}")


def _row(guard: GuardResult) -> list[str]:
    if not guard.reached:
        return [escape(guard.spec), "out of reach"]
    single, counts = guard.effort.single, guard.counts
    missing = f"\n[dim]{counts.unassessed} of {counts.rows} unassessed[/]" if counts.unassessed else ""
    return [
        escape(guard.spec) + missing,
        *(figure(guard.measures[name]) for name in COLUMNS),
        seconds(single.mean if single else None),
    ]
