"""The crosswalk from the leaves of the spine to the codes of another taxonomy.

No publisher issues such a map; every link says on whose judgement it rests. Two readings are kept apart:

- *overlap* (any relation): a prompt of the leaf may be one of the code. Useful to look around; going there and
  back gains leaves, since a broad code such as "non-violent crimes" holds many.
- *inside* (``exact`` and ``narrower``): whatever falls under the code falls under the leaf. A code lies inside
  at most one leaf, so mapping any set of leaves there and back by INSIDE gives a subset of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from functools import cache, cached_property
from typing import Any

from harmless.core.model import Model
from harmless.errors import UnknownNameError, UsageError
from harmless.taxonomy.codes import taxonomy
from harmless.taxonomy.files import FOLDER, read
from harmless.taxonomy.hazards import SPINE, load


class Relation(StrEnum):
    """How a code stands to a leaf."""

    EXACT = "exact"  #: the same ground
    BROADER = "broader"  #: the code covers the leaf and more
    NARROWER = "narrower"  #: the code covers only part of the leaf
    RELATED = "related"  #: they overlap, neither contains the other


ALL = frozenset(Relation)
INSIDE = frozenset({Relation.EXACT, Relation.NARROWER})
"""The code lies inside the leaf: what a guard flags under the code is of the leaf."""
AROUND = frozenset({Relation.EXACT, Relation.BROADER})
"""The leaf lies inside the code: a prompt of the leaf counts for the code."""


class Link(Model):
    """One entry of the crosswalk: how ``code`` stands to ``leaf`` (a key), and on what basis."""

    leaf: str
    code: str
    relation: Relation
    basis: str


class Crosswalk(Model):
    """All links from the spine to one taxonomy; ``notes`` explain single leaves (by key)."""

    taxonomy: str
    basis: str
    links: tuple[Link, ...]
    notes: Mapping[str, str] = {}

    def to(self, leaf: str, relations: Collection[Relation] = ALL) -> tuple[Link, ...]:
        """Return the links of a leaf, the primary one first; empty if the taxonomy does not cover it.

        Args:
            leaf: a leaf in any form that ``Taxonomy.hazard`` accepts; a task or domain has no links.
            relations: keep only links of these relations.
        """
        links = self._by_leaf.get(load().hazard(leaf).key, ())
        return tuple(link for link in links if link.relation in relations)

    def back(self, code: str, relations: Collection[Relation] = ALL) -> tuple[str, ...]:
        """Return the keys of the leaves that are crosswalked to a code: the exact inverse of ``to``.

        With INSIDE it is the one leaf that the code surely belongs to, or nothing.

        Raises:
            UnknownNameError: the taxonomy has no such code or alias.
        """
        links = self._by_code.get(taxonomy(self.taxonomy).code(code).code, ())
        return tuple(link.leaf for link in links if link.relation in relations)

    @cached_property
    def uncovered(self) -> tuple[str, ...]:
        """The keys of the leaves that the taxonomy does not cover at all."""
        return tuple(leaf.key for leaf in load().leaves if leaf.key not in self._by_leaf)

    @cached_property
    def _by_leaf(self) -> dict[str, list[Link]]:
        return _grouped(self.links, "leaf")

    @cached_property
    def _by_code(self) -> dict[str, list[Link]]:
        return _grouped(self.links, "code")


def crosswalks() -> tuple[str, ...]:
    """Return the ids of the taxonomies that the leaves can be mapped to, the spine itself included."""
    file = _file()
    further = {id for row in file["alignment"]["rows"] for id in row}
    return (SPINE, *sorted({*file["targets"], *further}))


@cache
def crosswalk(id: str) -> Crosswalk:
    """Return the crosswalk from the leaves to the taxonomy ``id``, read once.

    It is written down for some taxonomies and follows the alignment for others (the other Llama Guards,
    MLCommons v0.5). The spine maps to itself.

    Raises:
        UnknownNameError: there is no such taxonomy; the nearest ids are suggested.
        UsageError: there is no crosswalk to it; those that have one are named.
    """
    file = _file()
    if id == SPINE:
        basis, links = "the spine itself", [(leaf.key, leaf.key, "exact") for leaf in load().leaves]
    elif id in file["targets"]:
        basis, links = file["basis"], list(_written(file, id))
    elif id in crosswalks():
        alignment = file["alignment"]
        basis = f"{file['basis']}; by way of {alignment['via']} and {alignment['basis']}"
        links = list(_aligned(file, id))
    else:
        raise UsageError(
            f"There is no crosswalk to {taxonomy(id).name}.", f"Mapped are: {', '.join(crosswalks())}."
        )
    notes = file["notes"] if id in file["targets"] else {}
    rows = [Link(leaf=leaf, code=code, relation=Relation(how), basis=basis) for leaf, code, how in links]
    return Crosswalk(taxonomy=id, basis=basis, links=tuple(rows), notes=notes)


def aligned(code: str, source: str, target: str) -> tuple[str, ...]:
    """Return the codes of ``target`` that mean the same as ``code`` of ``source``.

    Guard versions reuse codes for other meanings (S5 of Llama Guard 2 is S6 of Llama Guard 3): compare them
    by this, never by the bare code. Empty if the target has no such class; more than one where a class of the
    source is as wide as several of the target (O1 of Llama Guard 1 is violence and hate).

    Raises:
        UnknownNameError: a taxonomy that the alignment does not know, or an unknown code of ``source``.
    """
    rows = _file()["alignment"]["rows"]
    known = {id for row in rows for id in row}
    for id in (source, target):
        if id not in known:
            raise UnknownNameError("aligned taxonomy", id, known)
    spellings = (code, taxonomy(source).code(code).code)
    rows = next(filter(None, ([row for row in rows if row.get(source) == each] for each in spellings)), [])
    return tuple(dict.fromkeys(row[target] for row in rows if target in row))


@cache
def _file() -> dict[str, Any]:
    return read(FOLDER / "crosswalk.yaml")


def _written(file: dict[str, Any], id: str) -> Iterator[tuple[str, str, str]]:
    for leaf, cells in file["rows"].items():
        for code, relation in cells[id].items():
            yield leaf, code, relation


def _aligned(file: dict[str, Any], id: str) -> Iterator[tuple[str, str, str]]:
    via, loose = file["alignment"]["via"], id in file["alignment"]["loose"]
    for leaf, code, relation in _written(file, via):
        for other in aligned(code, via, id):
            yield leaf, other, Relation.RELATED if loose else relation


def _grouped(links: tuple[Link, ...], by: str) -> dict[str, list[Link]]:
    groups: dict[str, list[Link]] = {}
    for link in links:
        groups.setdefault(getattr(link, by), []).append(link)
    return groups
