"""Which of many patterns may match a text at all, told by a single look at its letters.

A text is searched only by those patterns of whose letters it has some. The answer may name a pattern in vain,
and never leaves one out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, TypeAlias

GRAM = 4
"""Characters by which letters are looked up."""

Group: TypeAlias = frozenset[str]
"""Pieces of text; a match contains at least one of them."""

_SEPARATORS = re.compile(r"[\W_]+")


def letters(text: str) -> str:
    """Return ``text`` with one space for all that is neither letter nor digit."""
    return _SEPARATORS.sub(" ", text)


def weight(group: Group) -> tuple[int, int]:
    """Order groups by how much they rule out: long pieces first, then few of them."""
    return min(GRAM, *map(len, group), GRAM), -len(group)


class Prefilter:
    """The patterns of a list that may match a text.

    Args:
        needs: for each pattern the groups of which a match has a piece each; without any it is always named.
    """

    def __init__(self, needs: Sequence[Sequence[Group]]) -> None:
        # Two groups a pattern are enough. A bit of a mask stands for a pattern's first group, and the bit
        # ``_count`` places higher for its second.
        self._count = len(needs)
        self._always = 0
        self._masks: dict[str, int] = {}
        for number, groups in enumerate(needs):
            mapped = [frozenset(map(letters, group)) for group in groups]
            best = sorted((group for group in mapped if weight(group)[0] >= GRAM), key=weight, reverse=True)
            for rank in range(2):
                bit = 1 << (number + rank * self._count)
                self._always |= 0 if rank < len(best) else bit
                for piece in best[rank] if rank < len(best) else ():
                    self._masks[piece[:GRAM]] = self._masks.get(piece[:GRAM], 0) | bit

    def candidates(self, text: str) -> list[int]:
        """Return the numbers of the patterns that may match, rising."""
        padded = letters(f" {text} ")
        found, masks = self._always, self._masks
        for gram in {padded[at : at + GRAM] for at in range(len(padded) - GRAM + 1)}:
            if gram in masks:
                found |= masks[gram]
        found &= found >> self._count
        numbers = []
        while found:
            lowest = found & -found
            numbers.append(lowest.bit_length() - 1)
            found ^= lowest
        return numbers


def required(source: str, named: Callable[[str], Group | None] = lambda character: None) -> list[Group]:
    """Return the groups of which every match of a regular expression has a piece; the uncertain is left out.

    ``named`` gives the group that a character stands for, None if it stands for itself. Read from the parse
    tree of the ``re`` module, which has no public form.
    """
    tree = import_module("re._parser").parse(source)
    return [] if tree.state.flags & re.IGNORECASE else _sequence(tree, named)


def _sequence(items: Iterable[tuple[Any, Any]], named: Callable[[str], Group | None]) -> list[Group]:
    groups: list[Group] = []
    run = ""
    for kind, value in items:
        group = named(chr(value)) if str(kind) == "LITERAL" else None
        if str(kind) == "LITERAL" and group is None:
            run += chr(value)
            continue
        groups += [frozenset([run]), *([group] if group else _node(str(kind), value, named))]
        run = ""
    return [group for group in (*groups, frozenset([run])) if all(group)]


def _node(kind: str, value: Any, named: Callable[[str], Group | None]) -> list[Group]:
    match kind:
        case "SUBPATTERN":
            return _sequence(value[-1], named)
        case "ATOMIC_GROUP":
            return _sequence(value, named)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT" if value[0] > 0:
            return _sequence(value[2], named)
        case "BRANCH":
            branches = [_sequence(branch, named) for branch in value[1]]
            if all(branches):
                return [frozenset().union(*(max(groups, key=weight) for groups in branches))]
    return []
