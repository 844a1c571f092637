"""``harmless data generate``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import anyio
from cyclopts import Parameter
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from harmless import guards, taxonomy
from harmless.check import load_policy
from harmless.cli.console import err, out, print_json
from harmless.cli.options import COUNT, TEMPERATURE, Asking
from harmless.core import Sampling
from harmless.data import hub
from harmless.data.sources import texts_of
from harmless.data.writer import Fate, Order, Writer, leaves_of
from harmless.errors import UsageError


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Writing(Asking):
    """How the model that writes is reached and asked."""

    temperature: Annotated[float, TEMPERATURE] = 0.9
    """0 is greedy, and then writes the same again and again."""
    max_tokens: Annotated[int | None, COUNT] = 200
    """Longest reply in tokens."""


def generate(
    *,
    hazard: Annotated[Sequence[str], Parameter(negative="")],
    model: str,
    out_: Annotated[Path, Parameter(name="--out")],
    count: int = 5,
    tries: int | None = None,
    licence: str = "unknown",
    against: Annotated[Sequence[str], Parameter(negative="")] = (),
    json: bool = False,
    asking: Writing = Writing(),
) -> None:
    """Let a model write further twins, de-duplicated and marked as synthetic.

    The file is a suite of its own (`--suite FILE`) and is never part of another. The same command goes on with
    a file that was cut off.

    Args:
        hazard: key, code or name; also of a task or a domain, for all that is under it. Repeat it for more.
        model: who writes: embedded, openai:MODEL, anthropic:MODEL, hf:PATH, scripted:FILE.
        out_: JSONL that the pairs are appended to.
        count: how many pairs a hazard.
        tries: how many requests a hazard at most; default is 10 a pair.
        licence: of what the model writes, as its terms have it; noted in every row.
        against: further texts not to repeat: a suite, a set of the catalog (NAME or NAME=FILE), or a file.
        json: print one JSON document instead of a table.
    """
    if count < 1 or (tries is not None and tries < 1):
        raise UsageError("Fewer than one pair, or one request, has no sense.", "Use --count 1 or more.")
    if asking.system:
        raise UsageError("Who writes has a system prompt of its own.", "Leave out --system.")
    hub.quiet()
    order = Order(
        hazards=leaves_of(hazard),
        count=count,
        tries=tries or 10 * count,
        sampling=Sampling(
            temperature=asking.temperature,
            top_p=asking.top_p,
            max_tokens=asking.max_tokens or 200,
            seed=asking.seed,
        ),
        licence=licence,
    )
    known = [text for name in against for text in texts_of(name)]

    async def run() -> dict[str, Counter[Fate]]:
        policy = load_policy()
        target = asking.target(model, policy)
        try:
            refusal = guards.load("refusal", policy)
            writer = Writer(target, order, out_, against=known, refusal=refusal)
            with _live(order, quiet=json) as observe:
                await writer.write(observe)
            return writer.tallies
        finally:
            await target.aclose()

    tallies = anyio.run(run)
    if json:
        print_json({"out": str(out_), "model": model, "hazards": {k: _counts(t) for k, t in tallies.items()}})
    else:
        _show(tallies, out_)


@contextmanager
def _live(order: Order, *, quiet: bool) -> Iterator[Callable[[str, Counter[Fate]], None]]:
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=quiet or not err.is_terminal) as progress:
        tasks = {
            key: progress.add_task(taxonomy.load().hazard(key).label, total=order.count)
            for key in order.hazards
        }

        def observe(key: str, tally: Counter[Fate]) -> None:
            progress.update(tasks[key], completed=tally[Fate.KEPT])

        yield observe


def _counts(tally: Counter[Fate]) -> dict[str, int]:
    return {"asked": tally.total(), **{fate.value: tally[fate] for fate in Fate}}


def _show(tallies: dict[str, Counter[Fate]], file: Path) -> None:
    table = Table("hazard", title=f"Written into {file}", title_justify="left")
    for column in _counts(Counter()):
        table.add_column(column, justify="right")
    for key, tally in tallies.items():
        table.add_row(taxonomy.load().hazard(key).label, *_cells(tally))
    if len(tallies) > 1:
        table.add_row("[bold]all[/]", *_cells(sum(tallies.values(), Counter())))
    out.print(table)
    out.print("What a model wrote is synthetic: read it before you measure with it.")


def _cells(tally: Counter[Any]) -> tuple[str, ...]:
    return tuple(map(str, _counts(tally).values()))
