"""``harmless guard``: list guards, judge files with them, train the ones we ship."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import anyio
from cyclopts import App, Parameter
from rich.markup import escape
from rich.table import Table

from harmless import guards
from harmless.cli import lazy
from harmless.cli.console import err, print_json
from harmless.cli.console import out as console
from harmless.errors import UsageError

if TYPE_CHECKING:
    from harmless.guards.train import TrainReport

guard = App(name="guard", help="List guards, judge files with them, train them.", help_format="markdown")
lazy.command(guard, "bench", "guard_bench:bench")
lazy.command(guard, "calibrate", "guard_calibrate:calibrate")
lazy.command(guard, "case-study", "case_study:case_study")
lazy.command(guard, "explain", "guard_explain:explain")
lazy.command(guard, "threshold", "guard_threshold:threshold")


@guard.command(name="list")
def list_(*, json: bool = False) -> None:
    """List the guards that can be named, ours and those of installed packages.

    Args:
        json: print one JSON document instead of a table.
    """
    entries = guards.describe()
    if json:
        print_json({"guards": [entry.model_dump() for entry in entries]})
        return
    others = any(entry.origin != "harmless" for entry in entries)
    table = Table("guard", "what it does", "needs", *(["from"] if others else []), box=None, pad_edge=False)
    for entry in entries:
        needs = f"harmless[{entry.extra}]" if entry.extra else "-"
        cells = (entry.name, entry.summary, needs, *([entry.origin] if others else []))
        table.add_row(*map(escape, cells))
    console.print(table)


@guard.command
def judge(
    *,
    guard: str,
    in_: Annotated[str, Parameter(name="--in", allow_leading_hyphen=True)] = "-",
    out: Annotated[str, Parameter(allow_leading_hyphen=True)] = "-",
    policy: Path | None = None,
    json: bool = False,
) -> None:
    """Judge the rows of a JSONL file: the reply where there is one, the prompt otherwise.

    Args:
        guard: name of the guard, with its arguments in brackets: `rules`, `rules(mine.yaml)`.
        in_: JSONL with `prompt` or `messages`, and `reply` where that is to be judged; - is standard input.
        out: the same rows with `outcome`, `score`, `flagged`, `findings` and `reason`; - is standard output.
        policy: YAML file with the thresholds; see `harmless policy`.
        json: print the counts as one JSON document (on standard error if the rows go to standard output).
    """
    from harmless.check.policy import load_policy
    from harmless.guards.files import STREAM, judge_file

    rules = load_policy(policy)
    counts = anyio.run(judge_file, guards.load(guard, rules), in_, out, rules)
    if json:
        document = {"guard": guard, "policy": rules.name, "in": in_, "out": out, **asdict(counts)}
        err.print_json(data=document) if out == STREAM else print_json(document)
        return
    err.print(
        f"{counts.flagged} of {counts.rows} flagged, {counts.unassessed} unassessed"
        + ("" if out == STREAM else f" -> {out}")
    )
    for cause, times in counts.causes.most_common(5):
        err.print(f"  Unassessed: {times} x {cause}")


@guard.command
def train(
    *,
    out: Path,
    data: Path | None = None,
    tier: Literal[1, 2] = 1,
    head: str | None = None,
    model: str | None = None,
    seeds: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (0, 1, 2),
    evaluation: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)] = (),
    start: Path | None = None,
    refit: bool = False,
    json: bool = False,
) -> None:
    """Train the guards that the package ships, from public data, and measure them.

    Rows that are in a built-in suite or in a file of --evaluation, exactly or nearly, are left out.

    Args:
        out: folder for the artefacts.
        data: folder with the data files; without it the sets are loaded by their public ids.
        tier: 1 for `embedded`, `refusal` and `judge`; 2 for `encoder`, which takes torch and half an hour.
        head: train only this one instead: `profanity`, `injection` or `hazard`, or `probe` for --model.
        model: the local model whose hidden states `probe` reads: `embedded`, a folder, or a hub id.
        seeds: all are measured, the models of the one in the middle are written; tier 2 takes the first only.
        evaluation: suites to be measured on later (`prompt` and `expect`), besides the built-in ones.
        start: for tier 2, folder of an earlier `encoder` that learns what contrast pairs were added since.
        refit: with --start, only fit anew how it goes together with tier 1, after that was trained again.
        json: print one JSON document instead of a table.
    """
    if start and (tier != 2 or head):
        raise UsageError("--start is the encoder to go on from.", "Add --tier 2, and leave out --head.")
    if refit and not start:
        raise UsageError("--refit needs an encoder.", "Give the folder of one as --start.")
    if head == "probe" or model:
        report = _probe(head, model, out, data, seeds, evaluation)
    elif head:
        report = _head(head, out, data, seeds)
    elif start and refit:
        report = _refitted(out, start, data, seeds, evaluation)
    elif tier == 2:
        report = _encoder(out, data, seeds, evaluation, start)
    else:
        report = _first(out, data, seeds, evaluation)
    summary = report.summary()
    if json:
        metrics = {name: {"mean": mean, "deviation": spread} for name, (mean, spread) in summary.items()}
        print_json({"out": str(out), "files": [str(path) for path in report.files], "metrics": metrics})
        return
    table = Table(
        "metric", "mean", "deviation", title=f"{len(seeds) if tier == 1 else 1} seeds", box=None, pad_edge=False
    )
    for name, (mean, spread) in summary.items():
        table.add_row(name, f"{mean:.4g}", f"{spread:.2g}")
    console.print(table)
    for path in report.files:
        err.print(f"Wrote {path}")


def _probe(
    head: str | None,
    model: str | None,
    out: Path,
    data: Path | None,
    seeds: tuple[int, ...],
    evaluation: tuple[Path, ...],
) -> TrainReport:
    if head != "probe" or not model or not seeds:
        raise UsageError(
            "A probe is trained for a model, and nothing else is.",
            "Write for example: harmless guard train --head probe --model embedded --out probe",
        )
    from harmless.guards.train.probe import train_probe

    return train_probe(out, model, data=data, seeds=seeds, evaluations=evaluation, progress=_step)


def _head(name: str, out: Path, data: Path | None, seeds: tuple[int, ...]) -> TrainReport:
    from harmless.guards.train.heads import train_head

    return train_head(name, out, data=data, seeds=seeds, progress=_step)


def _first(out: Path, data: Path | None, seeds: tuple[int, ...], evaluation: tuple[Path, ...]) -> TrainReport:
    from harmless.guards.train import train

    return train(out, data=data, seeds=seeds, evaluations=evaluation, progress=_step)


def _encoder(
    out: Path, data: Path | None, seeds: tuple[int, ...], evaluation: tuple[Path, ...], start: Path | None
) -> TrainReport:
    from harmless.guards.train import encoder
    from harmless.guards.train.finetune import Tuning

    tuning = Tuning(seed=seeds[0] if seeds else 0, frozen=encoder.LOWER if start else 0)
    return encoder.train(out, data=data, tuning=tuning, evaluations=evaluation, start=start, progress=_step)


def _refitted(
    out: Path, start: Path, data: Path | None, seeds: tuple[int, ...], evaluation: tuple[Path, ...]
) -> TrainReport:
    from harmless.guards.train import encoder

    seed = seeds[0] if seeds else 0
    return encoder.refit(out, start, data=data, seed=seed, evaluations=evaluation, progress=_step)


def _step(step: str) -> None:
    err.print(f"  {step}")
