"""``harmless data``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from cyclopts import App
from rich.markup import escape
from rich.table import Table

from harmless import taxonomy
from harmless.cli import lazy
from harmless.cli.console import err, out, print_json
from harmless.core import Prompt
from harmless.data import hub
from harmless.data.catalog import Card, Entry, Kind, catalog
from harmless.data.files import is_data_file
from harmless.data.overlap import NEAR, Overlap
from harmless.data.overlap import overlap as find_overlap
from harmless.data.rows import Item, Labelled
from harmless.data.sets import DataSet, counted, load
from harmless.data.similar import encoder
from harmless.data.sources import texts_of
from harmless.data.suites import BUILTIN, load_suite
from harmless.data.synthetic import synthetic
from harmless.data.twins import codes_of
from harmless.data.validate import validate as find_problems
from harmless.report.text import visible

data = App(name="data", help="List, show, compare, validate and write data sets.")
lazy.command(data, "generate", "data_generate:generate")
lazy.command(data, "screen", "data_screen:screen")


@data.command(name="list")
def list_(*, kind: Kind | None = None, commercial: bool = False, json: bool = False) -> None:
    """List the built-in suites and the public sets of the catalog.

    Args:
        kind: only prompts to ask, labelled exchanges, or preferences.
        commercial: only sets that may be used commercially.
        json: print one JSON document instead of a table.
    """
    entries = [
        each
        for each in catalog().values()
        if kind in (None, each.kind) and not (commercial and each.non_commercial)
    ]
    if json:
        print_json({"suites": list(BUILTIN), "sets": [each.model_dump(mode="json") for each in entries]})
        return
    table = Table("name", "title", "kind", title="Data sets by name", title_justify="left")
    table.add_column("rows", justify="right")
    for column in ("metric", "licence", ""):
        table.add_column(column)
    if kind in (None, Kind.PROMPTS):
        for name, (_, _, about) in BUILTIN.items():
            table.add_row(name, f"Built in: {about}", "prompts", "", "safety", "Apache-2.0", "")
    for each in entries:
        rows = "" if each.rows is None else f"{each.rows:,}"
        table.add_row(each.name, each.title, each.kind, rows, each.metric, each.licence, _marks(each))
    out.print(table)


@data.command
def show(
    name: str,
    /,
    *,
    path: Path | None = None,
    config: str | None = None,
    split: str | None = None,
    samples: int = 3,
    reveal: bool = False,
    json: bool = False,
) -> None:
    """Load a set and show what is in it: rows, hazards, sources, licence, some rows.

    Args:
        name: a name of `harmless data list`, or a file of your own that is a suite.
        path: for a public set, a file in the published schema, or a folder that is a clone of the hub's
            repository; default is the hub.
        config: the hub's configuration, if not the usual one.
        split: the hub's split, if not the usual one.
        samples: how many rows to show.
        reveal: show their text; it may be harmful.
        json: print one JSON document instead of tables.
    """
    hub.quiet()
    own = path is None and name not in catalog() and is_data_file(name)
    if path is None and name not in BUILTIN and not own and not json:
        err.print(f"Reading {name} from the hub ...")
    if own or (name in BUILTIN and path is None):
        found = _suite(name)
    else:
        found = load(name, path=path, config=config, split=split)
    rows = [_sample(item, reveal) for item in _spread(found.items, samples)]
    if json:
        print_json({**_summary(found), "samples": rows})
        return
    _show_set(found)
    table = Table("id", "hazard", "source", "text", title="Some rows", title_justify="left")
    for row in rows:
        table.add_row(*(escape(str(row[column] or "-")) for column in ("id", "hazard", "source", "text")))
    if rows:
        out.print(table)


@data.command
def overlap(
    a: str,
    b: str,
    /,
    *,
    near: float = NEAR,
    embed: str | None = None,
    gate: bool = False,
    reveal: bool = False,
    json: bool = False,
) -> int:
    """Find the rows of B that are in A, exactly, nearly, or by embedding.

    Args:
        a: a suite, a set of the catalog (NAME or NAME=FILE), or a file; what is trained on.
        b: the same; what is evaluated with.
        near: Jaccard index of character 5-grams from which texts are near-duplicates.
        embed: also compare embeddings: `words` (TF-IDF, no paraphrases), `minilm`, or a folder with an encoder.
        gate: exit with 1 if anything is found.
        reveal: show the texts of the pairs; they may be harmful.
        json: print one JSON document instead of a table.
    """
    hub.quiet()
    first, second = texts_of(a), texts_of(b)
    found = find_overlap(first, second, near=near, encoder=encoder(embed) if embed else None)
    if json:
        print_json(_overlap_document(a, b, found))
    else:
        _show_overlap(a, b, found, (first, second) if reveal else None)
    return 1 if gate and found.matches else 0


@data.command
def validate(file: Path | None = None, /, *, part: bool = False, json: bool = False) -> int:
    """Check the built-in twins, or a file in their schema; exit with 1 if there is a problem.

    Args:
        file: JSONL with `id`, `hazard`, `form`, `register`, `harmful`, `benign`; default is the built-in one.
        part: do not ask for 6 pairs of each of the 66 hazards.
        json: print one JSON document instead of a list.
    """
    problems = find_problems(file, complete=not part)
    if json:
        rows = [{"line": each.line, "id": each.id, "message": each.message} for each in problems]
        print_json({"file": str(file or "twins"), "problems": rows})
    else:
        for each in problems:
            out.print(escape(str(each)))
        out.print(
            f"{len(problems) or 'No'} problem{'' if len(problems) == 1 else 's'} in {file or 'the twins'}."
        )
    return 1 if problems else 0


_MEASURES = {
    "safety": "Harm and over-refusal on the same topics.",
    "perplexity": "Whether training has damaged the language of a model.",
}


def _suite(name: str) -> DataSet:
    """Return a built-in suite, or a user's file, as a set that can be shown."""
    suite = load_suite(name)
    licences = sorted({prompt.licence for prompt in suite.prompts if prompt.licence})
    about = Entry(
        name=suite.name,
        family="built in" if name in BUILTIN else "own file",
        title=f"{name}: {suite.source}" if name in BUILTIN else suite.name,
        columns=(),
        metric=suite.metric,
        licence=", ".join(licences) or "unknown",
        card=Card(measures=_MEASURES.get(suite.metric, "") if name in BUILTIN else ""),
    )
    return DataSet(about, suite.prompts, "this package" if name in BUILTIN else suite.source)


def _marks(each: Entry) -> str:
    marks = []
    if each.non_commercial:
        marks.append("[yellow]non-commercial[/]")
    if each.hub and each.hub.gated:
        marks.append("gated")
    if each.hub is None:
        marks.append("by file only")
    return ", ".join(marks)


def _summary(found: DataSet) -> dict[str, Any]:
    each = found.entry
    levels: tuple[Literal["domain", "category", "source", "language"], ...]
    levels = ("domain", "category", "source", "language")
    return {
        "name": each.name,
        "title": each.title,
        "kind": each.kind.value,
        "rows": len(found.items),
        "published_rows": each.rows,
        "skipped": found.skipped,
        "origin": found.origin,
        "licences": dict(found.licences),
        "non_commercial": found.non_commercial,
        "synthetic": synthetic(item for item in found.items if isinstance(item, Prompt)),
        "evaluation_only": each.evaluation_only,
        "metric": each.metric,
        "label": each.label,
        "labels": _labels(found.items),
        "by": {level: counted(found.items, level) for level in levels},
    }


def _labels(items: Sequence[Item]) -> dict[str, int]:
    words = {True: "unsafe", False: "safe", None: "not labelled"}
    counts: Counter[str] = Counter()
    for item in items:
        if isinstance(item, Prompt):
            counts[f"to {item.expect}"] += 1
        elif isinstance(item, Labelled):
            counts[words[item.unsafe]] += 1
    return dict(counts.most_common())


def _show_set(found: DataSet) -> None:
    each, summary = found.entry, _summary(found)
    left_out = f", {found.skipped} without text or label left out" if found.skipped else ""
    out.print(f"[bold]{each.title}[/]: {len(found.items):,} {each.kind} from {escape(found.origin)}{left_out}")
    if each.about:
        out.print(f"  {escape(each.about)}")
    licences = ", ".join(f"{licence} {n:,}" for licence, n in found.licences.items())
    warning = " [yellow](not for commercial use)[/]" if found.non_commercial else ""
    out.print(f"  Licence: {escape(licences)}{warning}")
    if summary["synthetic"]:
        share = summary["synthetic"] / len(found.items)
        out.print(f"  [yellow]Synthetic[/]: {summary['synthetic']:,} ({share:.0%}) were written by a model")
    if each.evaluation_only:
        splits = "all rows" if each.evaluation_only == "all" else ", ".join(each.evaluation_only)
        out.print(f"  For evaluation only: {splits}")
    out.print(f"  Labels: {'; '.join(f'{n:,} {label}' for label, n in summary['labels'].items()) or 'pairs'}")
    titles = {"domain": "By level-1 category", "source": "By source"}
    for level, title in titles.items():
        counts = summary["by"][level]
        if level == "source" or set(counts) != {"no hazard"}:
            out.print(_counts(title, counts))


def _counts(title: str, counts: dict[str, int]) -> Table:
    table = Table("", title=title, title_justify="left", show_header=False)
    table.add_column(justify="right")
    table.add_column(justify="right")
    total = sum(counts.values())
    for name, number in counts.items():
        table.add_row(escape(name), f"{number:,}", f"{number / total:.1%}")
    return table


def _spread(items: Sequence[Item], number: int) -> list[Item]:
    """Return so many items from the whole length of a set."""
    step = max(len(items) // number, 1) if number > 0 else 1
    return list(items[::step][:number]) if number > 0 else []


def _sample(item: Item, reveal: bool) -> dict[str, Any]:
    text = visible(item.text) if reveal else f"[{len(item.text):,} characters, shown with --reveal]"
    row: dict[str, Any] = {"id": item.id, "hazard": item.hazard, "source": item.source, "text": text}
    if item.hazard and taxonomy.load().hazard(item.hazard).level is taxonomy.Level.CATEGORY:
        row["codes"] = codes_of(item.hazard)
    return row | {name: float(item.meta[name]) for name in ("difficulty",) if name in item.meta}


def _overlap_document(a: str, b: str, found: Overlap) -> dict[str, Any]:
    matches = [{"a": m.a, "b": m.b, "score": round(m.score, 4), "how": m.how} for m in found.matches]
    counts = {"exact": found.exact, "near": found.near, "alike": found.alike}
    return {"a": a, "b": b, "rows": [found.a, found.b], **counts, "share": found.share, "matches": matches}


def _show_overlap(a: str, b: str, found: Overlap, texts: tuple[list[str], list[str]] | None) -> None:
    out.print(
        f"Of {found.b:,} rows of [bold]{escape(b)}[/], {len(found.matches):,} ({found.share:.1%}) are in "
        f"[bold]{escape(a)}[/] ({found.a:,} rows): "
        f"{found.exact:,} exactly, {found.near:,} nearly, {found.alike:,} by embedding."
    )
    if not found.matches:
        return
    table = Table("how", "score", "row of A", "row of B", *(("A", "B") if texts else ()))
    for match in sorted(found.matches, key=lambda m: (m.how == "exact", -m.score))[:20]:
        shown = (
            [escape(visible(texts[side][row])[:200]) for side, row in enumerate((match.a, match.b))]
            if texts
            else []
        )
        table.add_row(match.how, f"{match.score:.2f}", str(match.a + 1), str(match.b + 1), *shown)
    out.print(table)
