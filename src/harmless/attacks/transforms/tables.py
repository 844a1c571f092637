"""Alphabets: transforms that write each character in another way, by the tables of ``tables.yaml``."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

from harmless.core.model import Model


class Table(Model):
    """Character -> what is written for it; characters that are not in it stay.

    ``between`` stands between two characters. ``fold``: capitals are written like small letters.
    ``backwards``: the last character comes first.
    """

    letters: Mapping[str, str]
    between: str = ""
    fold: bool = False
    backwards: bool = False


def written(name: str, text: str) -> str:
    """Return the text in that alphabet."""
    table = _tables()[name]
    found = [table.letters.get(c.lower() if table.fold else c, c) for c in text]
    return table.between.join(reversed(found) if table.backwards else found)


def read(name: str, text: str) -> str:
    """Return the text that was written in that alphabet, capitals as small letters if it has none."""
    table, back = _tables()[name], _back(name)
    found = [back.get(each, each) for each in (text.split(table.between) if table.between else text)]
    return "".join(reversed(found) if table.backwards else found)


@functools.cache
def _back(name: str) -> dict[str, str]:
    return {written: letter for letter, written in _tables()[name].letters.items()}


@functools.cache
def _tables() -> dict[str, Table]:
    text = resources.files(__package__).joinpath("tables.yaml").read_text(encoding="utf-8")
    return {name: _table(fields) for name, fields in yaml.safe_load(text).items()}


def _table(fields: dict[str, Any]) -> Table:
    """Tables of single characters have two strings, ``from`` and ``to``; others a map ``letters``."""
    pairs = dict(zip(fields.pop("from", ""), fields.pop("to", ""), strict=True))
    return Table(letters=pairs | fields.pop("letters", {}), **fields)
