"""From a published row to our fields: which layout it has, what its labels and categories mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from string import Formatter
from typing import Any, TypeAlias

from harmless import taxonomy
from harmless.data.catalog import Columns, Entry, HazardOf, Lookup, as_key
from harmless.errors import UnknownNameError

#: A row under our field names; what is null or an empty cell is left out.
Fields: TypeAlias = dict[str, Any]

_MISSING = object()


class RowError(ValueError):
    """A row that is not what its set publishes; the loader adds file and line."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message, self.next_step = message, next_step


def layout_of(entry: Entry, row: Mapping[str, Any]) -> Columns:
    """Return the first of the published layouts whose columns the row has.

    Raises:
        RowError: none fits; names the missing columns of the nearest one.
    """
    missing = {}
    for number, columns in enumerate(entry.columns):
        missing[number] = list(_missing(entry, columns, row))
        if not missing[number]:
            return columns
    nearest = min(missing, key=lambda number: len(missing[number]))
    layouts = " or ".join(", ".join(columns.values()) for columns in entry.columns)
    raise RowError(
        f"Missing {_named(missing[nearest])} (found: {', '.join(map(str, row)) or 'nothing'}).",
        f"'{entry.name}' is published with the columns {layouts}.",
    )


def fields_of(entry: Entry, columns: Columns, row: Mapping[str, Any]) -> Fields:
    """Return the row under our names, with constants and templates filled in.

    Raises:
        RowError: a column that is not optional is missing.
    """
    fields: Fields = dict(entry.constants)
    for field, column in columns.items():
        value = _value(row, column)
        if value is _MISSING:
            if field not in entry.optional:
                raise RowError(
                    f"Missing {_named([column])} (found: {', '.join(map(str, row))}).",
                    "Every row must have the same columns.",
                )
        elif value is not None:
            fields[field] = value
    for field, template in entry.templates.items():
        if all(name in fields for name in _names(template)):
            fields[field] = template.format_map(fields)
    return fields


def keeps(entry: Entry, fields: Fields) -> bool:
    """Return whether the entry wants the row at all."""
    wanted = all(as_key(fields.get(f)) in map(as_key, values) for f, values in entry.where.items())
    return wanted and not any(as_key(fields.get(f)) in map(as_key, v) for f, v in entry.without.items())


def looked_up(rule: Lookup | Any, fields: Fields) -> Any:
    """Return the value that a rule gives for the row, None where the deciding field is empty.

    Raises:
        RowError: a label that the set does not publish.
    """
    if not isinstance(rule, Lookup):
        return rule
    if rule.any_of:
        return any(as_key(fields.get(name, 0)) == "1" for name in rule.any_of)
    value = fields.get(rule.by)
    if value is None:
        return None
    key = as_key(value)
    if key not in rule.map:
        raise RowError(f"The label '{value}' of '{rule.by}' is unknown.", f"Known: {', '.join(rule.map)}.")
    return rule.map[key]


def hazard_of(entry: Entry, fields: Fields) -> str | None:
    """Return the taxonomy key of the row's category, None where nothing of the taxonomy fits.

    Raises:
        RowError: an entry in SALAD-Bench's own labels with a label that it does not have.
    """
    rule = entry.hazard
    if not isinstance(rule, HazardOf):
        return rule
    category = fields.get(rule.by)
    return None if category is None else _hazard(entry.name, str(category))


@cache
def _hazard(name: str, category: str) -> str | None:
    from harmless.data.catalog import entry

    rule = entry(name).hazard
    assert isinstance(rule, HazardOf)
    if category in rule.map:
        return taxonomy.load().hazard(rule.map[category]).key
    try:
        if rule.spine:
            return taxonomy.load().hazard(category).key
        if rule.crosswalk:
            inside = taxonomy.crosswalk(rule.crosswalk).back(category, taxonomy.INSIDE)
            return inside[0] if len(inside) == 1 else None
    except UnknownNameError as error:
        if rule.spine:
            raise RowError(error.message, error.next_step) from None
    return None


def _missing(entry: Entry, columns: Columns, row: Mapping[str, Any]) -> Iterator[str]:
    for field, column in columns.items():
        if field not in entry.optional and _value(row, column) is _MISSING:
            yield column


def _value(row: Mapping[str, Any], column: str) -> Any:
    if column in row:
        return row[column]
    if column == "*":
        return row
    head, dot, rest = column.partition(".")
    inner = row.get(head)
    return _value(inner, rest) if dot and isinstance(inner, Mapping) else _MISSING


def _named(columns: list[str]) -> str:
    return ("column " if len(columns) == 1 else "columns ") + ", ".join(f"'{c}'" for c in columns)


@cache
def _names(template: str) -> tuple[str, ...]:
    return tuple(name for _, name, _, _ in Formatter().parse(template) if name)
