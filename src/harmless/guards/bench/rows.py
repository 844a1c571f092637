"""Labelled rows to measure guards on: built-in prompts, sets of the catalog, files."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from harmless import taxonomy
from harmless.core import Exchange, Expect, Message, Prompt, digest, user
from harmless.data import BUILTIN, Kind, Labelled, catalog, load, ordinary, read_rows, twins
from harmless.data.catalog import as_key
from harmless.data.files import is_data_file
from harmless.errors import BadFileError, UnknownNameError, UsageError
from harmless.guards.bench.model import Data

Side: TypeAlias = Literal["as-labelled", "prompt"]

TEXT = ("prompt", "text")
LABEL = ("unsafe", "label", "expect")
HARM = {"1": True, "unsafe": True, "harmful": True, "refuse": True}
HARM |= {"0": False, "safe": False, "unharmful": False, "benign": False, "answer": False}


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that all have a label; ``skipped`` counts those that had none. ``name`` is for people.

    ``files`` are the local files that they were read from.
    """

    name: str
    origin: str
    items: tuple[Labelled, ...]
    skipped: int = 0
    files: tuple[Path, ...] = ()

    def limited(self, limit: int | None, seed: int = 0) -> Rows:
        """Return about ``limit`` rows: half of each label where there are enough, spread over hazards and
        sources; rows of one origin (a pair of twins) stay together.
        """
        if limit is None or limit >= len(self.items):
            return self
        if limit < 1:
            raise UsageError("At least 1 row is needed.", "Use --limit 1 or more.")
        chosen = set(_chosen(self.items, limit, seed))
        return replace(self, items=tuple(row for row in self.items if row.id in chosen))

    def summary(self) -> Data:
        """Return what there is to know of the rows without their text."""
        unsafe = sum(bool(row.unsafe) for row in self.items)
        return Data(
            name=self.name,
            origin=self.origin,
            rows=len(self.items),
            skipped=self.skipped,
            unsafe=unsafe,
            safe=len(self.items) - unsafe,
            replies=sum(row.exchange.reply is not None for row in self.items),
            origins=len({origin_of(row) for row in self.items}),
            sources=_counted(row.source for row in self.items),
            licences=_counted(row.licence for row in self.items),
        )


def origin_of(row: Labelled) -> str:
    """Return what makes rows dependent: the cluster (pair, goal, template), or the row itself."""
    return row.cluster or row.id


def load_rows(name: str, *, path: str | Path | None = None, side: Side = "as-labelled") -> Rows:
    """Return labelled rows.

    Args:
        name: ``twins``, ``quick``, ``standard`` or ``ordinary`` (built in), a set of the catalog (also as
            ``NAME=FILE``), or a file: JSONL, JSON, CSV or Parquet with ``prompt`` (or ``text``, ``messages``),
            a label ``unsafe`` (or ``label``, ``expect``), and optionally ``reply``, ``hazard``, ``source``,
            ``licence``, ``cluster`` or ``pair``, ``id``.
        path: for a set of the catalog, a file in its published schema; None reads it from the hub.
        side: ``prompt`` leaves replies away and takes the label of the prompt.

    Raises:
        UnknownNameError: neither built in, nor in the catalog, nor a file.
        UsageError: a set without harm labels.
        BadFileError: a row is not what it should be; names the line.
        UnreachableError: the hub is out of reach.
    """
    known, equals, file = name.partition("=")
    if equals and known in catalog() and path is None:
        name, path = known, file
    if name in catalog():
        found = _from_catalog(name, path)
    elif path is not None:
        raise UsageError(f"'{name}' is read without a path.", "Give a path for sets of the catalog only.")
    elif name in BUILTIN or name == "ordinary":
        found = _built_in(name)
    else:
        found = _from_file(name)
    found = _on_side(found, side)
    if not found.items:
        raise UsageError(f"There is no row with a label in '{name}'.", "Guards are measured on labelled rows.")
    return found


def joined(parts: Iterable[Rows]) -> Rows:
    """Return the rows of several sets as one; ids get the name of their set where two sets share one."""
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    seen: Counter[str] = Counter(row.id for part in parts for row in part.items)
    items = [
        row.model_copy(update={"id": f"{number}:{row.id}"}) if seen[row.id] > 1 else row
        for number, part in enumerate(parts, 1)
        for row in part.items
    ]
    return Rows(
        " + ".join(part.name for part in parts),
        "; ".join(part.origin for part in parts),
        tuple(items),
        sum(part.skipped for part in parts),
        tuple(file for part in parts for file in part.files),
    )


def _built_in(name: str) -> Rows:
    if name == "ordinary":
        prompts = [*ordinary(), *ordinary("short")]
    else:
        pairs, plain, _ = BUILTIN[name]
        prompts = [*twins(pairs), *ordinary("ordinary", plain)]
    return Rows(name, "this package", tuple(filter(None, map(_of_prompt, prompts))))


def _from_catalog(name: str, path: str | Path | None) -> Rows:
    if catalog()[name].kind is Kind.PREFERENCES:
        raise UsageError(
            f"'{name}' holds preferences, not labels.", "Which of two replies is better is no label of either."
        )
    found = load(name, path=path)
    items = [_of_prompt(item) if isinstance(item, Prompt) else item for item in found.items]
    labelled = tuple(item for item in items if isinstance(item, Labelled))
    files = (Path(path),) if path is not None and Path(path).is_file() else ()
    return Rows(found.entry.title, found.origin, labelled, len(items) - len(labelled) + found.skipped, files)


def _of_prompt(prompt: Prompt) -> Labelled | None:
    if prompt.expect is Expect.CHOOSE:
        return None
    return Labelled(
        id=prompt.id,
        exchange=Exchange(conversation=prompt.conversation),
        unsafe=prompt.expect is Expect.REFUSE,
        cluster=prompt.cluster or prompt.pair,
        **prompt.model_dump(include={"hazard", "source", "licence", "language"}),
    )


def _on_side(rows: Rows, side: Side) -> Rows:
    items = list(rows.items)
    if side == "prompt":
        items = [
            row.model_copy(
                update={
                    "exchange": Exchange(conversation=row.exchange.conversation),
                    "unsafe": row.unsafe if row.exchange.reply is None else row.prompt_unsafe,
                }
            )
            for row in items
        ]
    kept = tuple(row for row in items if row.unsafe is not None)
    return replace(rows, items=kept, skipped=rows.skipped + len(items) - len(kept))


def _from_file(name: str) -> Rows:
    file = Path(name)
    if not is_data_file(name) and not file.exists():
        raise UnknownNameError(
            "data", name, [*BUILTIN, "ordinary", *catalog(), "NAME=FILE", "FILE.jsonl", "FILE.csv"]
        )
    items, seen = [], dict[str, int]()
    for line, row in read_rows(file):
        item = _of_row(file, line, row)
        if item.id in seen:
            item = item.model_copy(update={"id": f"{item.id}~{line}"})
        seen[item.id] = line
        items.append(item)
    return Rows(file.name, str(file), tuple(items), files=(file,))


def _of_row(file: Path, line: int, row: Mapping[str, Any]) -> Labelled:
    column = next((name for name in LABEL if name in row), None)
    if column is None:
        raise _missing(file, line, row, "label", f"Name a column {' or '.join(LABEL)}.")
    given = row[column]
    label = None if given is None or given == "" else HARM.get(as_key(given))
    if label is None and given not in (None, ""):
        raise BadFileError(
            file, f"'{column}' is {given!r}.", line=line, next_step="Use true or false, or unsafe or safe."
        )
    exchange = _exchange(file, line, row)
    cluster = row.get("cluster") or row.get("pair")
    return Labelled(
        id=str(row.get("id") or digest(exchange, length=10)),
        exchange=exchange,
        unsafe=label,
        hazard=_hazard(file, line, row),
        cluster=None if cluster is None else str(cluster),
        **{key: str(row[key]) for key in ("source", "licence", "language") if row.get(key)},
    )


def _exchange(file: Path, line: int, row: Mapping[str, Any]) -> Exchange:
    reply, messages = row.get("reply"), row.get("messages")
    if reply is not None and not isinstance(reply, str):
        raise BadFileError(file, "'reply' is no text.", line=line, next_step="Write a string, or leave it out.")
    text = next((row[name] for name in TEXT if isinstance(row.get(name), str) and row[name].strip()), None)
    try:
        turns = tuple(Message.model_validate(m) for m in messages) if messages else user(text) if text else ()
    except (ValueError, TypeError):
        turns = ()
    if not turns:
        raise _missing(file, line, row, "prompt", "Name the column with the text 'prompt'.")
    return Exchange(conversation=turns, reply=reply)


def _hazard(file: Path, line: int, row: Mapping[str, Any]) -> str | None:
    try:
        return taxonomy.load().hazard(str(row["hazard"])).key if row.get("hazard") else None
    except UnknownNameError as error:
        raise BadFileError(file, error.message, line=line, next_step=error.next_step) from None


def _missing(file: Path, line: int, row: Mapping[str, Any], what: str, next_step: str) -> BadFileError:
    found = ", ".join(sorted(map(str, row))) or "nothing"
    return BadFileError(file, f"There is no {what} (found: {found}).", line=line, next_step=next_step)


def _chosen(items: Iterable[Labelled], limit: int, seed: int) -> Iterator[str]:
    """Yield the ids of a sample: both labels in turn and, within each, hazards and sources in turn."""
    origins: dict[str, list[Labelled]] = defaultdict(list)
    for row in items:
        origins[origin_of(row)].append(row)
    strata: dict[tuple[bool, str, str], list[list[Labelled]]] = defaultdict(list)
    for group in origins.values():
        strata[(bool(group[0].unsafe), group[0].hazard or "", group[0].source)].append(group)
    rng = random.Random(seed)
    places = []
    for label in (True, False):
        lines = [rng.sample(found, len(found)) for key, found in sorted(strata.items()) if key[0] is label]
        spread = sorted(((rank + rng.random(), n) for n, line in enumerate(lines) for rank in range(len(line))))
        places += [(rank, lines[n][int(place)]) for rank, (place, n) in enumerate(spread)]
    taken = 0
    for _, group in sorted(places, key=lambda place: place[0]):
        if taken >= limit:
            return
        taken += len(group)
        yield from (row.id for row in group)


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
