"""What is read of another tool's results, whatever the tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from harmless import taxonomy
from harmless.core import Conversation, Reply
from harmless.core.model import Model
from harmless.errors import BadFileError, UnknownNameError
from harmless.guards.rulefile import Place, blame

M = TypeVar("M", bound=BaseModel)


class Foreign(BaseModel):
    """The base of what others write: fields that we do not know may be there."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class ImportedAttempt(Model):
    """One reply: ``attack`` is what made the prompt, ``objective`` what it was after, as far as the file says.

    ``success`` is the tool's own opinion, None where it has none, ``score`` its score, 0 to 1; ``by`` says what
    in the tool came to it. ``target`` is empty where the file has only one.
    """

    attack: str
    objective: str
    conversation: Conversation
    reply: Reply
    target: str = ""
    success: bool | None = None
    score: float | None = None
    by: str = ""
    hazard: str | None = None
    note: str = ""


class Imported(Model):
    """The attempts in a file, in its order.

    ``tool`` is a name with a version if the file has one, ``target`` what was attacked, ``source`` and
    ``licence`` those of the prompts. ``skipped`` says what was left out and how often.
    """

    tool: str
    target: str
    attempts: tuple[ImportedAttempt, ...]
    skipped: Mapping[str, int] = {}
    source: str = ""
    licence: str = ""


def parsed(path: Path, model: type[M], document: Any, place: Sequence[str | int], line: int | None = None) -> M:
    """Return a part of a file as a model.

    Args:
        path: the file, for the message.
        model: what the part should be.
        document: the part.
        place: keys and positions that lead to it.
        line: where it is, if known; otherwise it is looked for.

    Raises:
        BadFileError: it is not; names the line if that can be found.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = (*place, *first["loc"])
        raise _blamed(path, where, f"{'.'.join(map(str, where))}: {first['msg']}.", line) from None


def wrong(path: Path, place: Sequence[str | int], message: str) -> BadFileError:
    """Return the error about a value at a place of a JSON file."""
    return _blamed(path, tuple(place), message, None)


def _blamed(path: Path, place: Place, message: str, line: int | None) -> BadFileError:
    next_step = "Export the results again, with the tool that wrote them."
    if line is not None:
        return BadFileError(path, message, line=line, next_step=next_step)
    try:
        return blame(path, place, message, next_step)  # JSON is YAML, all but for a few oddities
    except yaml.YAMLError:
        return BadFileError(path, message, next_step=next_step)


def hazard_of(names: Sequence[str]) -> str | None:
    """Return the key of the first of the names that is a hazard of the taxonomy, None if none is."""
    for name in names:
        try:
            return taxonomy.load().hazard(name).key
        except UnknownNameError:
            continue
    return None
