"""Templates: texts with a place for the objective, as data; ours in this folder, others in a user's file."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError, model_validator

from harmless.core import Conversation, Message
from harmless.core.model import Model
from harmless.errors import BadFileError

PLACE = "{objective}"
_SHOTS = "{demonstrations}"
#: Our files, in the order in which they are tried.
FILES = ("refusal", "prefix", "persona", "policy", "skeleton", "shots", "frames", "persuasion")


class Template(Model):
    """A text in which an objective is asked for, or several that are said one after the other.

    ``turns`` are the user's messages; the target's own replies come between them. ``text`` in a file is a
    single one. ``system`` is a message before them; ``shots`` is the number of harmless demonstrations before
    the first message, or in it where it says ``{demonstrations}``.
    """

    name: str
    family: str = "own"
    source: str = ""
    licence: str = ""
    turns: tuple[str, ...]
    system: str = ""
    shots: int = 0

    @model_validator(mode="before")
    @classmethod
    def _one_text(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and "text" in given and "turns" not in given:
            return {k: v for k, v in given.items() if k != "text"} | {"turns": (given["text"],)}
        return given

    @model_validator(mode="after")
    def _has_a_place(self) -> Template:
        if not any(PLACE in turn for turn in self.turns):
            raise ValueError(f"no turn of '{self.name}' has {PLACE} in it")
        return self

    @property
    def is_plain(self) -> bool:
        """Whether it is one text and nothing else."""
        return len(self.turns) == 1 and not self.system and not self.shots

    def said(self, objective: str) -> list[str]:
        """Return the user's messages for an objective."""
        shown = "\n\n".join(f"User: {q}\nAssistant: {a}" for q, a in demonstrations()[: self.shots])
        return [turn.replace(_SHOTS, shown).replace(PLACE, objective) for turn in self.turns]

    def opening(self, before: Conversation = ()) -> Conversation:
        """Return what stands before the user's first message.

        Args:
            before: the turns before the objective; a system message among them joins that of the template.
        """
        systems = [m.content for m in before if m.role == "system"]
        texts = "\n\n".join(filter(None, (self.system, *systems)))
        shots = () if _SHOTS in self.turns[0] else demonstrations()[: self.shots]
        return (
            *((Message(role="system", content=texts),) if texts else ()),
            *(Message(role=r, content=t) for q, a in shots for r, t in (("user", q), ("assistant", a))),
            *(m for m in before if m.role != "system"),
        )


@functools.cache
def templates() -> Mapping[str, Template]:
    """Return all our templates by name."""
    folder = resources.files(__package__)
    found = [
        each
        for name in FILES
        for each in _parsed(f"{name}.yaml", folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8"))
    ]
    return {each.name: each for each in found}


def from_file(path: Path) -> list[Template]:
    """Return the templates of a user's YAML file; it is built like ours, only ``templates`` has to be there.

    Raises:
        BadFileError: it cannot be read, is not YAML, or a template has neither ``text`` nor ``turns`` with the
            place of the objective.
    """
    try:
        return _parsed(path, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadFileError(path, f"It cannot be read: {error}.", next_step="Check the path.") from None


@functools.cache
def demonstrations() -> Sequence[tuple[str, str]]:
    """Return harmless questions with their answers."""
    text = resources.files(__package__).joinpath("demonstrations.yaml").read_text(encoding="utf-8")
    return [(question, answer) for question, answer in yaml.safe_load(text)]


def _parsed(path: str | Path, text: str) -> list[Template]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise BadFileError(path, "Not YAML.", line=mark.line + 1 if mark else None) from None
    if not isinstance(document, dict) or not isinstance(document.get("templates"), dict):
        raise BadFileError(
            path, "There are no 'templates' in it.", next_step="Write templates: {NAME: {text: ...}}."
        )
    shared = {key: value for key, value in document.items() if key != "templates"}
    found = []
    for name, fields in document["templates"].items():
        try:
            found.append(Template.model_validate({**shared, "name": str(name), **(fields or {})}))
        except (ValidationError, TypeError) as error:
            told = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise BadFileError(
                path, f"The template '{name}': {told}.", next_step=f"Give text or turns with {PLACE}."
            ) from None
    if not found:
        raise BadFileError(path, "There is no template in it.", next_step="Write at least one.")
    return found
