"""Rows by source, by level of the taxonomy, or by what else is known of their prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple

from harmless import taxonomy
from harmless.check.observed import Row
from harmless.core import Prompt
from harmless.errors import UnknownNameError

LEVELS = ("domain", "task", "category")
_FIELDS = ("source", "language", "licence", "expect")


class Group(NamedTuple):
    """Rows that share a ``key``: a key of the taxonomy, a source, ...; ``name`` is for people."""

    key: str
    name: str
    rows: list[Row]


def grouped(rows: Iterable[Row], by: str) -> list[Group]:
    """Return the rows by ``domain``, ``task``, ``category``, ``source``, ``language``, ``licence``, ``expect``
    or ``meta.KEY``.

    Hazards are in the taxonomy's order, other groups largest first. Rows without the property are left out.

    Raises:
        UnknownNameError: ``by`` is none of these.
    """
    key_of, groups = _key_of(by), dict[str, list[Row]]()
    for row in rows:
        key = key_of(row.prompt)
        if key:
            groups.setdefault(key, []).append(row)
    if by in LEVELS:
        hazards = taxonomy.load().at(taxonomy.Level(by))
        return [Group(h.key, h.name, groups[h.key]) for h in hazards if h.key in groups]
    return sorted(
        (Group(key, key, found) for key, found in groups.items()), key=lambda g: (-len(g.rows), g.key)
    )


def _key_of(by: str) -> Callable[[Prompt], str | None]:
    if by in LEVELS:
        return lambda prompt: _at_level(prompt.hazard, by)
    if by in _FIELDS:
        return lambda prompt: str(getattr(prompt, by))
    kind, _, key = by.partition(".")
    if kind == "meta" and key:
        return lambda prompt: prompt.meta.get(key)
    raise UnknownNameError("grouping", by, (*LEVELS, *_FIELDS, "meta.KEY"))


@cache
def _at_level(hazard: str | None, level: str) -> str | None:
    if hazard is None:
        return None
    hazards = taxonomy.load()
    return next((h.key for h in (hazards.hazard(hazard), *hazards.ancestors(hazard)) if h.level == level), None)
