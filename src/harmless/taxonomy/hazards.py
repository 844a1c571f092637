"""The spine: SALAD-Bench's three levels (Li et al. 2024, arXiv:2402.05044)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache, cached_property
from typing import Any

from harmless.core.model import Model
from harmless.errors import UnknownNameError, UsageError
from harmless.taxonomy.files import FOLDER, read

SPINE = "salad_bench"


class Level(StrEnum):
    """The three levels, widest first."""

    DOMAIN = "domain"
    TASK = "task"
    CATEGORY = "category"

    @property
    def depth(self) -> int:
        """0 for a domain, 1 for a task, 2 for a category."""
        return tuple(Level).index(self)


_LEVELS = {"d": Level.DOMAIN, "t": Level.TASK, "c": Level.CATEGORY}


class Hazard(Model):
    """One node of the spine.

    ``key`` (``salad.c.O57``) is the identifier used everywhere; ``parent`` the key one level up, None for a
    domain. ``definition`` is a paraphrase. ``category_count`` leaves and ``base_set_rows`` questions are the
    figures that the benchmark publishes.
    """

    key: str
    name: str
    parent: str | None = None
    definition: str
    category_count: int = 1
    base_set_rows: int

    @property
    def level(self) -> Level:
        """Domain, task or category, as the key says."""
        return _LEVELS[self.key.split(".")[1]]

    @property
    def code(self) -> str:
        """The benchmark's own code (``O57``); unique within a level only."""
        return self.key.rsplit(".", 1)[1]

    @property
    def label(self) -> str:
        """The label in the benchmark's data, ``O57: Theft``."""
        return f"{self.code}: {self.name}"


class Taxonomy(Model):
    """The spine: 6 domains, 16 tasks, 66 categories.

    Methods that take a ``name`` accept whatever :meth:`hazard` accepts.
    """

    id: str
    name: str
    version: str
    source: str
    checked_against: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any]
    hazards: tuple[Hazard, ...]

    @cached_property
    def domains(self) -> tuple[Hazard, ...]:
        """The 6 domains in the benchmark's order."""
        return self._at(Level.DOMAIN)

    @cached_property
    def tasks(self) -> tuple[Hazard, ...]:
        """The 16 tasks in the benchmark's order."""
        return self._at(Level.TASK)

    @cached_property
    def leaves(self) -> tuple[Hazard, ...]:
        """The 66 categories in the benchmark's order."""
        return self._at(Level.CATEGORY)

    def at(self, level: Level | str) -> tuple[Hazard, ...]:
        """Return the hazards of one level, ``domain``, ``task`` or ``category``."""
        return {Level.DOMAIN: self.domains, Level.TASK: self.tasks, Level.CATEGORY: self.leaves}[
            as_level(level)
        ]

    def hazard(self, name: str) -> Hazard:
        """Return the hazard of a key, a leaf code, a label or a name; upper and lower case are the same.

        ``salad.c.O57``, ``O57`` (always the leaf), ``O57: Theft`` (any level) and ``theft`` (any level).

        Raises:
            UnknownNameError: nothing is called so; the nearest names are suggested.
        """
        found = self._index.get(_fold(name))
        if found is None:
            raise UnknownNameError("hazard", name, self._alike(name))
        return found

    def parent(self, name: str) -> Hazard | None:
        """Return the hazard one level up, None for a domain."""
        key = self.hazard(name).parent
        return self.hazard(key) if key else None

    def ancestors(self, name: str) -> tuple[Hazard, ...]:
        """Return the hazards above, nearest first; empty for a domain."""
        above = self.parent(name)
        return (above, *self.ancestors(above.key)) if above else ()

    def children(self, name: str) -> tuple[Hazard, ...]:
        """Return the hazards one level down, empty for a leaf."""
        return self._children.get(self.hazard(name).key, ())

    def leaves_under(self, name: str) -> tuple[Hazard, ...]:
        """Return the leaves under a hazard; a leaf is under itself."""
        hazard = self.hazard(name)
        if hazard.level is Level.CATEGORY:
            return (hazard,)
        return tuple(leaf for child in self.children(hazard.key) for leaf in self.leaves_under(child.key))

    def rollup(self, name: str, level: Level | str) -> Hazard:
        """Return the hazard itself or its ancestor at ``level``.

        Raises:
            UsageError: the hazard stands above ``level``, so it has many descendants there.
        """
        hazard, wanted = self.hazard(name), as_level(level)
        for candidate in (hazard, *self.ancestors(hazard.key)):
            if candidate.level is wanted:
                return candidate
        raise UsageError(
            f"{hazard.key} is a {hazard.level}, above the level {wanted}.",
            "Ask for a level at or above its own, or take leaves_under.",
        )

    def _at(self, level: Level) -> tuple[Hazard, ...]:
        return tuple(hazard for hazard in self.hazards if hazard.level is level)

    @cached_property
    def _index(self) -> dict[str, Hazard]:
        index: dict[str, Hazard] = {}
        for hazard in self.hazards:
            names = [hazard.key, hazard.label, hazard.name]
            if hazard.level is Level.CATEGORY:
                names.append(hazard.code)
            index |= {_fold(name): hazard for name in names}
        return index

    @cached_property
    def _children(self) -> dict[str, tuple[Hazard, ...]]:
        below: dict[str, tuple[Hazard, ...]] = {}
        for hazard in self.hazards:
            if hazard.parent:
                below[hazard.parent] = (*below.get(hazard.parent, ()), hazard)
        return below

    def _alike(self, name: str) -> list[str]:
        """Return the names of the form that was probably meant: keys, labels, codes or plain names."""
        folded = _fold(name)
        if folded.startswith("salad."):
            return [hazard.key for hazard in self.hazards]
        if ":" in folded:
            return [hazard.label for hazard in self.hazards]
        if folded[:1] == "o" and folded[1:].isdigit():
            return [leaf.code for leaf in self.leaves]
        return [hazard.name for hazard in self.hazards]


def as_level(level: Level | str) -> Level:
    """Return the level of that name; an unknown one is an UnknownNameError."""
    try:
        return Level(level)
    except ValueError:
        raise UnknownNameError("level", level, list(Level)) from None


@cache
def load() -> Taxonomy:
    """Return the spine, read once."""
    return Taxonomy.model_validate(read(FOLDER / "hazards.yaml"))


def _fold(name: str) -> str:
    return " ".join(name.casefold().split())
