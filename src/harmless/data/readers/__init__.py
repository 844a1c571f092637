"""Readers of rows that need more than columns and labels; the catalog names them as ``module.function``.

A reader takes the entry and the fields of one row and yields items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TypeAlias

from harmless.data.build import build
from harmless.data.catalog import Entry
from harmless.data.fields import Fields
from harmless.data.rows import Item

Reader: TypeAlias = Callable[[Entry, Fields], Iterable[Item]]


def reader_of(entry: Entry) -> Reader:
    """Return the reader that an entry names, or the one that needs no more than its columns."""
    if entry.reader is None:
        return _plain
    module, _, name = entry.reader.partition(".")
    reader: Reader = getattr(import_module(f"{__name__}.{module}"), name)
    return reader


def _plain(entry: Entry, fields: Fields) -> Iterable[Item]:
    return (build(entry, fields),)
