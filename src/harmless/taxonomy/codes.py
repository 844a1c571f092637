"""The other taxonomies, one YAML file each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any

from harmless.core.model import Model
from harmless.errors import UnknownNameError
from harmless.taxonomy.files import OTHERS, read
from harmless.taxonomy.hazards import SPINE, load


class Code(Model):
    """One cell of a taxonomy.

    ``code`` is written as its publisher writes it; ``aliases`` are other spellings found in data.
    ``group`` is explained by the taxonomy's ``grouped_by``. ``verified`` False marks a code that could not be
    confirmed in a published source: rely on the name, and never fail because such a code is missing.
    """

    code: str
    name: str
    definition: str
    group: str | None = None
    aliases: tuple[str, ...] = ()
    verified: bool = True


class CodeList(Model):
    """A flat taxonomy: where it comes from, and its codes in the publisher's order.

    ``facts`` holds what else its users need (label formats, grades, row counts), keyed by what it is.
    """

    id: str
    name: str
    version: str
    source: str
    checked_against: tuple[str, ...] = ()
    grouped_by: str | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = {}
    codes: tuple[Code, ...]

    def code(self, code: str) -> Code:
        """Return the code of that spelling or alias; case counts, since it does to publishers.

        Raises:
            UnknownNameError: the taxonomy has no such code; the nearest ones are suggested.
        """
        found = self._index.get(code)
        if found is None:
            raise UnknownNameError(f"code of {self.id}", code, self._index)
        return found

    @cached_property
    def _index(self) -> dict[str, Code]:
        return {spelling: code for code in self.codes for spelling in (code.code, *code.aliases)}


@cache
def taxonomies() -> tuple[str, ...]:
    """Return the ids of all taxonomies: the spine first, then one for each file, sorted."""
    return (SPINE, *sorted(path.stem for path in OTHERS.glob("*.yaml")))


@cache
def taxonomy(id: str) -> CodeList:
    """Return a taxonomy as a flat list of codes; that of the spine are the keys of its 66 leaves.

    Raises:
        UnknownNameError: there is no such taxonomy; the nearest ids are suggested.
    """
    if id not in taxonomies():
        raise UnknownNameError("taxonomy", id, taxonomies())
    return _spine() if id == SPINE else CodeList.model_validate(read(OTHERS / f"{id}.yaml"))


def _spine() -> CodeList:
    spine = load()
    codes = tuple(
        Code(
            code=leaf.key,
            name=leaf.name,
            definition=leaf.definition,
            group=leaf.parent,
            aliases=(leaf.code, leaf.label),
        )
        for leaf in spine.leaves
    )
    about = spine.model_dump(exclude={"hazards"})
    return CodeList(**about, grouped_by="task", codes=codes)
