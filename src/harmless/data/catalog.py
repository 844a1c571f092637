"""The catalog: every public set by its name, as data.

One YAML file a family in ``catalog/``; a set is added by an entry there, a family by a file and its name in
``catalog/index.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml
from pydantic import Field, model_validator

from harmless.core import Expect
from harmless.core.model import Model
from harmless.errors import UnknownNameError

FOLDER = Path(__file__).parent / "catalog"

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: Our name of a field -> the published column; a dotted name goes into nested columns, "*" is the whole row.
Columns: TypeAlias = Mapping[str, str]


class Kind(StrEnum):
    """What the rows of a set become."""

    PROMPTS = "prompts"
    LABELLED = "labelled"
    PREFERENCES = "preferences"


class Hub(Model):
    """Where a set is published: a Hugging Face id, or the addresses of plain files.

    ``config``, ``split``, ``data_dir`` and ``revision`` are those of ``datasets.load_dataset``; ``gated`` sets
    want a token of an account that accepted their terms.
    """

    id: str = ""
    files: tuple[str, ...] = ()
    config: str | None = None
    split: str = "train"
    data_dir: str | None = None
    revision: str | None = None
    gated: bool = False


class Lookup(Model):
    """A value that the field ``by`` decides, through ``map``; ``any_of`` instead: true if any field is 1."""

    by: str = ""
    map: Mapping[str, Any] = Field(default_factory=dict)
    any_of: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _keys_as_text(cls, given: Any) -> Any:
        """Keys of a map are compared as text, see :func:`as_key`."""
        if isinstance(given, Mapping) and "map" in given:
            return {**given, "map": {as_key(k): v for k, v in given["map"].items()}}
        return given


class HazardOf(Model):
    """How the category of a row leads to a hazard: SALAD's own labels, an explicit map, or the crosswalk.

    A category that none of them knows leaves the hazard open, except with ``spine``, where it is a mistake.
    """

    by: str = "category"
    spine: bool = False
    map: Mapping[str, str] = Field(default_factory=dict)
    crosswalk: str | None = None


class Card(Model):
    """What a reader has to know: what is measured, a known model's result with its source, how ours differs."""

    measures: str
    reference: str = ""
    differs: str = ""


class Entry(Model):
    """One set of the catalog.

    ``columns`` are the published layouts, the usual one first: the first whose columns are all there is used;
    fields named in ``optional`` may be missing. Fields that the kind does not know go into ``meta``.
    ``templates`` build fields (``text``, ``id``, ``pair``, ``cluster``) of others. ``where`` keeps rows with
    these values, ``without`` drops them. ``reader`` names a function of :mod:`harmless.data.readers` where a
    row needs more than that. ``label`` says what the labels mean. ``metric`` is how our checks score the set,
    ``standard`` how its authors do. ``evaluation_only`` lists the splits that
    must not be trained on, ``all`` for the whole set. ``rows`` is the published count, ``unverified`` what of
    this entry could not be checked against the publisher.
    """

    name: str
    family: str
    title: str
    kind: Kind = Kind.PROMPTS
    about: str = ""
    hub: Hub | None = None
    mirrors: tuple[Hub, ...] = ()
    columns: tuple[Columns, ...]
    optional: tuple[str, ...] = ()
    templates: Mapping[str, str] = Field(default_factory=dict)
    where: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    without: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    reader: str | None = None
    expect: Expect | Lookup | None = None
    unsafe: bool | Lookup | None = None
    prompt_unsafe: bool | Lookup | None = None
    refused: bool | Lookup | None = None
    hazard: str | HazardOf | None = None
    constants: Mapping[str, str] = Field(default_factory=dict)
    label: str = ""
    metric: str = "safety"
    standard: str = ""
    language: str = "en"
    licence: str
    non_commercial: bool = False
    citation: str = ""
    rows: int | None = None
    evaluation_only: tuple[str, ...] | Literal["all"] = ()
    unverified: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    card: Card

    def protects(self, split: str | None = None) -> bool:
        """Return whether the rows of a split (the usual one if None) are for evaluation only."""
        if self.evaluation_only == "all":
            return True
        return (split or (self.hub.split if self.hub else "")) in self.evaluation_only


@cache
def catalog() -> Mapping[str, Entry]:
    """Return all entries by name, family by family."""
    return {
        name: Entry.model_validate({"name": name, "family": family, **fields})
        for family in families()
        for name, fields in _read(family)["sets"].items()
    }


@cache
def families() -> Mapping[str, str]:
    """Return the title of each family by its name, in the order of ``catalog/index.yaml``."""
    return {family: _read(family)["title"] for family in _read("index")["families"]}


@cache
def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load((FOLDER / f"{name}.yaml").read_bytes(), Loader=_Loader)
    return document


def entry(name: str) -> Entry:
    """Return the entry of that name.

    Raises:
        UnknownNameError: there is no such set; the nearest names are suggested.
    """
    try:
        return catalog()[name]
    except KeyError:
        raise UnknownNameError("data set", name, catalog()) from None


def as_key(value: Any) -> str:
    """Return a label as text; 1, 1.0, "1", True, "TRUE" and "yes" are one key, as data and YAML have all."""
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    text = str(value).strip().casefold()
    return {"true": "1", "yes": "1", "false": "0", "no": "0"}.get(text, text)


def is_non_commercial(licence: str) -> bool:
    """Return whether a licence forbids commercial use (``CC-BY-NC-4.0`` and its like)."""
    return bool(re.search(r"(?i)(^|[^a-z])nc([^a-z]|$)|non-?commercial", licence))
