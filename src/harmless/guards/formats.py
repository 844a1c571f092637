"""The input formats of guard models, one YAML file a family in ``prompts/``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from importlib import resources
from typing import Any, Literal, TypeAlias

import yaml
from pydantic import Field, model_validator

from harmless.core.model import Model
from harmless.errors import UnknownNameError
from harmless.guards.likelihood import PairScore, ScaleScore
from harmless.guards.parsers import Parser, Side
from harmless.taxonomy import INSIDE, crosswalk, crosswalks
from harmless.taxonomy import load as spine

Sees: TypeAlias = Literal["prompt", "reply", "both"]


class MessageFormat(Model):
    """One message: a role, which need not be one of a conversation, and the template of its content."""

    role: str
    content: str


class InputFormat(Model):
    """How the input is built: the template of a raw ``text``, or ``messages`` for the model's chat template.

    The message ``turns`` stands for the whole conversation. ``template`` are further arguments of the chat
    template; texts in it are templates too, and ``{json: TEMPLATE}`` is read as JSON. With ``parts`` a content
    is a list of parts, as models that also see images want it.
    """

    text: str | None = None
    messages: tuple[Literal["turns"] | MessageFormat, ...] = ()
    template: Mapping[str, Any] = Field(default_factory=dict)
    parts: bool = False

    @property
    def plain(self) -> bool:
        """Whether every chat endpoint can be asked it: no raw text, no arguments, no roles of its own."""
        roles = {each.role for each in self.messages if isinstance(each, MessageFormat)}
        return (
            self.text is None
            and not self.template
            and not self.parts
            and roles <= {"system", "user", "assistant"}
        )


class Decoding(Model):
    """Greedy always; ``think_max_tokens`` is the limit where the model thinks first, None if it cannot."""

    max_tokens: int = Field(ge=1)
    think_max_tokens: int | None = None
    top_logprobs: int = Field(0, ge=0)


class Criterion(Model):
    """One thing a guard can be asked for: a risk, a guideline.

    ``text`` or, where the wording depends on what is judged, ``prompt`` and ``reply`` go into the template.
    ``hazard`` is the key of the spine it surely belongs to, if any. With ``context`` the documents (or tools)
    have to be there, as the conversation's system message. ``input`` replaces the guard's.
    """

    text: str = ""
    prompt: str = ""
    reply: str = ""
    sees: Sees = "both"
    hazard: str | None = None
    context: bool = False
    input: InputFormat | None = None


class Category(Model):
    """A category that the model names. ``hazard`` is the key of the spine it surely belongs to, if any."""

    name: str
    hazard: str | None = None


class Format(Model):
    """One guard model: where it is, what it sees, how it is asked and read, what its answers mean.

    ``size`` are the sizes of its models; ``score`` None where log-probabilities say nothing; ``turns`` how much
    of a conversation it takes; ``memory`` names the fields that rest on no published source at hand. With
    ``taxonomy`` the codes of ``categories`` are codes of that taxonomy and the crosswalk leads to the spine.
    ``criteria`` are what it can be asked for, ``asked`` what it is asked for by default.
    """

    name: str
    family: str
    publisher: str
    source: str
    hub: tuple[str, ...]
    size: str
    licence: str
    sees: Sees
    turns: Literal["all", "last"]
    context_length: int
    covers: str
    input: InputFormat
    decoding: Decoding
    parser: Parser
    score: PairScore | ScaleScore | None = None
    threshold: float = 0.5
    graded: bool = False
    taxonomy: str | None = None
    categories: Mapping[str, Category] = Field(default_factory=dict)
    criteria: Mapping[str, Criterion] = Field(default_factory=dict)
    asked: tuple[str, ...] = ()
    texts: Mapping[str, str] = Field(default_factory=dict)
    memory: tuple[str, ...] = ()
    notes: str = ""

    @model_validator(mode="after")
    def _asks_what_it_has(self) -> Format:
        if unknown := set(self.asked) - set(self.criteria):
            raise ValueError(f"{self.name} asks for unknown criteria: {unknown}")
        if bool(self.criteria) != bool(self.asked):
            raise ValueError(f"{self.name} has criteria, and asks for none of them")
        return self

    def hazard(self, code: str) -> str | None:
        """Return the key of the spine that a category surely belongs to, None if there is none."""
        category = self._folded.get(code.casefold())
        if category and category.hazard:
            return category.hazard
        return certain(self.taxonomy, code) if category and self.taxonomy else None

    @property
    def hazards(self) -> tuple[str, ...]:
        """The keys of the spine that the guard can find, sorted."""
        keys = {self.hazard(code) for code in self.categories} | {c.hazard for c in self.criteria.values()}
        return tuple(sorted(key for key in keys if key))

    @cached_property
    def _folded(self) -> dict[str, Category]:
        return {code.casefold(): category for code, category in self.categories.items()}


def certain(taxonomy: str, code: str) -> str | None:
    """Return the narrowest hazard that holds every leaf a code touches, None where there is none.

    A code that lies inside a leaf is of that leaf; one that is broader, or overlaps several, is rolled up to
    the task or domain that they share.
    """
    if taxonomy not in crosswalks():
        return None
    inside = crosswalk(taxonomy).back(code, INSIDE)
    touched = inside or crosswalk(taxonomy).back(code)
    lines = [[each.key for each in (spine().hazard(leaf), *spine().ancestors(leaf))] for leaf in touched]
    if not lines:
        return None
    if inside:
        return lines[0][0]
    shared = set.intersection(*(set(line[1:]) for line in lines))
    return next((key for key in lines[0] if key in shared), None)


def names() -> tuple[str, ...]:
    """Return the names of all guard models, in the order of the files."""
    return tuple(_raw())


@cache
def find(name: str) -> Format:
    """Return the format of the guard model of that name; UnknownNameError if there is none."""
    if name not in _raw():
        raise UnknownNameError("guard model", name, _raw())
    return Format.model_validate(_raw()[name])


def side_of(reply: str | None) -> Side:
    """Return what is judged: the reply if there is one."""
    return "prompt" if reply is None else "reply"


@cache
def _raw() -> dict[str, dict[str, Any]]:
    """Return what the files say, by name; fields of the family are those of each of its guards."""
    found: dict[str, dict[str, Any]] = {}
    folder = resources.files(__package__).joinpath("prompts")
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        if path.name.endswith(".yaml"):
            file = yaml.safe_load(path.read_text(encoding="utf-8"))
            guards, shared = file.pop("guards"), {k: v for k, v in file.items() if not k.startswith("_")}
            found |= {name: {**shared, "name": name, **guard} for name, guard in guards.items()}
    return found
