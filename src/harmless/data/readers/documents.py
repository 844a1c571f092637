"""Files that are one nested object, and rows that hold several prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harmless.data.build import build
from harmless.data.catalog import Entry
from harmless.data.fields import Fields, RowError
from harmless.data.rows import Item


def tree(entry: Entry, fields: Fields) -> Iterator[Item]:
    """Texts in nested objects, ``{group: {name: [texts]}}`` (BOLD) or ``{name: [texts]}`` (BIPIA attacks).

    The names above a text are its ``group`` and ``name``; with one level only, ``name``.
    """
    document = fields.pop("document")
    for number, (path, text) in enumerate(_leaves(document, ()), 1):
        names = dict(zip(("name", "group"), reversed(path), strict=False))
        yield build(entry, {**fields, **names, "id": number, "text": text})


def several(entry: Entry, fields: Fields) -> Iterator[Item]:
    """A row with a list of prompts."""
    for number, text in enumerate(fields.pop("texts"), 1):
        yield build(entry, {**fields, "id": f"{fields['id']}-{number}", "text": text})


def bold(entry: Entry, fields: Fields) -> Iterator[Item]:
    """BOLD: nested objects in the repository, rows with a list of prompts on the hub."""
    yield from tree(entry, fields) if "document" in fields else several(entry, fields)


def with_context(entry: Entry, fields: Fields) -> Iterator[Item]:
    """A request that may have a context: then the text is the field ``full``, context first (HarmBench)."""
    full = fields.pop("full", None)
    yield build(entry, fields if full is None else {**fields, "text": full})


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _leaves(below, (*path, str(name)))
    elif isinstance(value, list) and all(isinstance(text, str) for text in value):
        yield from ((path, text) for text in value)
    else:
        raise RowError(f"There is {type(value).__name__} in it.", "Lists of texts under names are wanted.")
