"""Loading a set of the catalog, from the hub or from a file: the same code but for the reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias

from harmless import taxonomy
from harmless.core import Prompt
from harmless.data.build import EmptyRowError
from harmless.data.catalog import Columns, Entry, Kind, entry, is_non_commercial
from harmless.data.fields import Fields, RowError, fields_of, keeps, layout_of
from harmless.data.files import Row, read_rows
from harmless.data.hub import read_hub
from harmless.data.preferences import questions
from harmless.data.readers import reader_of
from harmless.data.rows import Item, Preference
from harmless.errors import BadFileError, UsageError

By: TypeAlias = Literal["domain", "task", "category", "source", "language", "licence"]


@dataclass(frozen=True, slots=True)
class DataSet:
    """The items of a set; ``origin`` is where they were read, ``skipped`` counts rows without text or label."""

    entry: Entry
    items: tuple[Item, ...]
    origin: str
    skipped: int = 0

    @property
    def name(self) -> str:
        """The name in the catalog."""
        return self.entry.name

    @property
    def licences(self) -> Mapping[str, int]:
        """The items under each licence; a collection may have several."""
        return counted(self.items, "licence")

    @property
    def non_commercial(self) -> bool:
        """Whether any part of it is under a licence that forbids commercial use."""
        return self.entry.non_commercial or any(map(is_non_commercial, self.licences))

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The items as prompts; preferences as questions which reply is likelier.

        Raises:
            UsageError: the set is one of labelled exchanges.
        """
        if self.entry.kind is Kind.PREFERENCES:
            return tuple(questions(item for item in self.items if isinstance(item, Preference)))
        if self.entry.kind is not Kind.PROMPTS:
            raise UsageError(
                f"'{self.name}' holds {self.entry.kind} exchanges, not prompts to ask.",
                "Labelled exchanges measure guards: see harmless guard bench.",
            )
        return tuple(item for item in self.items if isinstance(item, Prompt))


def load(
    name: str,
    *,
    path: str | Path | None = None,
    config: str | None = None,
    split: str | None = None,
    limit: int | None = None,
) -> DataSet:
    """Return a set of the catalog.

    Args:
        name: its name in the catalog.
        path: a file in the published schema (a pattern such as ``bbq_*.jsonl.gz`` reads several), or a folder
            that is a clone of the hub's repository; None reads from the hub.
        config: the hub's configuration, instead of the entry's.
        split: the hub's split, instead of the entry's; of a file, the rows whose column ``split`` says so.
        limit: stop after so many items.

    Raises:
        UnknownNameError: no set of that name.
        BadFileError: a row is not what the set publishes; names file, line and what is wanted.
        UnreachableError: the hub is out of reach; MissingExtraError: ``datasets`` is not installed.
    """
    wanted = entry(name)
    file = path is not None and not Path(path).is_dir()
    origin = _place(wanted) if path is None else str(path)
    if file:
        parts = [(str(each), read_rows(each)) for each in _matching(Path(str(path)))]
    else:
        folder = None if path is None else Path(path)
        parts = [(origin, read_hub(wanted, folder=folder, config=config, split=split))]
    loading = _Loading(wanted, split if file else None)
    items = tuple(islice(loading.items(parts), limit))
    if not items:
        raise BadFileError(origin, "There is no usable row in it.", next_step="Rows need a text and a label.")
    return DataSet(wanted, items, origin, loading.skipped)


def counted(items: Iterable[Item], by: By) -> dict[str, int]:
    """Return the number of items under each hazard of a level, source, language or licence, largest first."""
    if by in ("source", "language", "licence"):
        return dict(Counter(getattr(item, by) for item in items).most_common())
    counts = Counter(item.hazard for item in items)
    return dict(_rolled_up(counts, by).most_common())


def refuse_non_commercial(sets: Iterable[DataSet], *, allow: bool = False) -> None:
    """Stop the training on sets whose licence forbids commercial use, unless told that it is all right.

    Raises:
        UsageError: names the sets and their licences.
    """
    named = [
        f"{each.name} ({', '.join(filter(is_non_commercial, each.licences))})"
        for each in sets
        if each.non_commercial
    ]
    if named and not allow:
        raise UsageError(
            f"What is trained on {', '.join(named)} could not be used commercially.",
            "Leave it out, or say --allow-non-commercial.",
        )


class _Loading:
    """The state of one loading: rows so far, ids seen, rows skipped."""

    def __init__(self, wanted: Entry, split: str | None) -> None:
        self.entry, self.split = wanted, split
        self.read = reader_of(wanted)
        self.seen: Counter[str] = Counter()
        self.rows = self.skipped = 0

    def items(self, parts: Iterable[tuple[str, Iterable[Row]]]) -> Iterator[Item]:
        for where, rows in parts:
            columns: Columns | None = None  # a file has one layout, that of its first row
            for line, row in rows:
                self.rows += 1
                try:
                    columns = columns or layout_of(self.entry, row)
                    yield from self._items_of(fields_of(self.entry, columns, row))
                except EmptyRowError:
                    self.skipped += 1
                except RowError as error:
                    raise BadFileError(where, error.message, line=line, next_step=error.next_step) from None

    def _items_of(self, fields: Fields) -> Iterator[Item]:
        if not keeps(self.entry, fields) or self.split not in (None, fields.get("split", self.split)):
            return
        fields.setdefault("id", self.rows)
        for item in self.read(self.entry, fields):
            yield self._unique(item)

    def _unique(self, item: Item) -> Item:
        """Give the item an id of its own: the set's name before it, a number behind one that occurs again."""
        id = f"{self.entry.name}:{item.id}"
        self.seen[id] += 1
        again = self.seen[id]
        return item.model_copy(update={"id": f"{id}~{again}" if again > 1 else id})


def _place(wanted: Entry) -> str:
    hub = wanted.hub
    return (hub.id or hub.files[0]) if hub else wanted.name


def _matching(path: Path) -> list[Path]:
    if path.exists() or not any(sign in path.name for sign in "*?["):
        return [path]
    found = sorted(path.parent.glob(path.name))
    if not found:
        raise BadFileError(path, "No file matches.", next_step="Check the pattern.")
    return found


def _rolled_up(counts: Counter[str | None], level: By) -> Counter[str]:
    hazards = taxonomy.load()
    found: Counter[str] = Counter()
    for key, number in counts.items():
        if key is None:
            label = "no hazard"
        else:
            chain = (hazards.hazard(key), *hazards.ancestors(key))
            label = next((h.label for h in chain if h.level == level), f"wider than a {level}")
        found[label] += number
    return found
