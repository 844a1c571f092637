"""``harmless data screen``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import anyio
from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from harmless.cli.console import out, print_json
from harmless.report.text import visible
from harmless.screen import Guards, Kind, Screening, read_lessons
from harmless.screen import screen as screen_lessons
from harmless.screen.files import write

#: Rows that are shown of those put aside; the file has all.
SHOWN = 10


def screen(
    file: Path,
    /,
    *,
    out_: Annotated[Path | None, Parameter(name="--out")] = None,
    model: str | None = None,
    skip: Annotated[Sequence[Kind], Parameter(negative="")] = (),
    gate: bool = False,
    json: bool = False,
) -> int:
    """Screen a fine-tuning set for poison before training: what to keep, what to look at first, and why.

    Looks for bursts of near copies, harmful prompts that are answered, harmless ones that are refused, reversed
    preferences, words that trigger an outcome, instructions to the model, hidden characters and, with a model,
    replies that surprise it or whose hidden states stand apart. A reason is no proof: read what is put aside.

    Args:
        file: JSONL, JSON, CSV or Parquet with `prompt` and `reply`, `messages`, or `chosen` and `rejected`.
        out_: folder for `kept.jsonl`, `quarantined.jsonl` (each row with its reasons) and `card.json`.
        model: also look at loss and hidden states under this model: embedded, hf:PATH, or a folder.
        skip: a kind of reason that does not count. Repeat it for more.
        gate: exit with 1 if any row is put aside.
        json: print one JSON document instead of a table.
    """
    rows, lessons = zip(*read_lessons(file), strict=True)
    local = _opened(model) if model else None
    found = anyio.run(lambda: screen_lessons(lessons, Guards(), model=local, skip=skip))
    if out_:
        write(out_, rows, found)
    if json:
        reasons = [
            {"row": row + 1, "reasons": [each.model_dump(mode="json") for each in found.reasons[row]]}
            for row in found.quarantined
        ]
        print_json({"file": str(file), **found.card(), "quarantine": reasons})
    else:
        _show(file, found, out_)
    return 1 if gate and found.quarantined else 0


def _opened(spec: str) -> Any:
    from harmless.targets.local import open_model

    return open_model(spec)


def _show(file: Path, found: Screening, folder: Path | None) -> None:
    rows = len(found.reasons)
    share = len(found.quarantined) / rows
    out.print(
        f"[bold]{escape(file.name)}[/]: {rows:,} rows, {len(found.kept):,} kept, "
        f"{len(found.quarantined):,} ({share:.1%}) put aside"
    )
    table = Table("reason", title="Why", title_justify="left")
    table.add_column("rows", justify="right")
    for kind, count in found.counts.items():
        table.add_row(kind.value, f"{count:,}")
    if found.counts:
        out.print(table)
    for each in found.triggers[:SHOWN]:
        out.print(
            f"Trigger [bold]{escape(visible(each.words))}[/]: {each.share:.0%} of {len(each.rows)} rows, else "
            f"{each.elsewhere:.1%}, have {escape(visible(each.outcome))} (p {each.p:.1g})"
        )
    _show_rows(found)
    if found.unassessed:
        out.print(f"{found.unassessed:,} rows could not be judged by a guard.")
    for note in found.notes:
        out.print(f"Note: {escape(note)}")
    if folder:
        out.print(f"Written into {escape(str(folder))}: kept.jsonl, quarantined.jsonl, card.json")


def _show_rows(found: Screening) -> None:
    if not found.quarantined:
        return
    worst = sorted(found.quarantined, key=lambda row: -len(found.reasons[row]))[:SHOWN]
    table = Table("row", "reasons", title="Rows with the most reasons", title_justify="left")
    for row in worst:
        table.add_row(str(row + 1), ", ".join(f"{x.kind} {x.score:.2f}" for x in found.reasons[row]))
    out.print(table)
