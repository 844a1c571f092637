"""What a model is aligned on: a prompt, the reply that is wanted and, perhaps, one that is not.

In a file an example is one JSON object a line: ``prompt`` (text) or ``messages`` (turns that end with the
user's), ``good``, optionally ``bad``, and ``expect`` (``refuse`` or ``answer``), ``hazard``, ``pair``,
``source``, ``licence``, ``cut`` and ``own``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError, field_validator

from harmless import taxonomy
from harmless.core import Conversation, Expect, digest
from harmless.core.model import Model
from harmless.data.files import read_rows
from harmless.data.own import conversation_of
from harmless.errors import BadFileError, UnknownNameError, UsageError

_TURNS = ("prompt", "messages")
_NEXT_STEP = (
    "An example has prompt (or messages), good, expect, and perhaps bad, hazard, pair, source, licence, cut,"
    " own."
)


class Example(Model):
    """A conversation that ends with the user's turn, a ``good`` reply and, perhaps, a ``bad`` one.

    ``expect`` is what the good reply does, refuse or answer; ``hazard`` a taxonomy key, or None; ``pair`` names
    the contrast pair that the prompt is one side of. Neither reply holds the end of turn: the trainer adds it,
    but not behind a good reply that is ``cut``: one that a token limit ended in the middle. ``own``: the good
    reply is what the model says already.
    """

    conversation: Conversation
    good: str
    bad: str | None = None
    expect: Expect
    hazard: str | None = None
    pair: str | None = None
    source: str = ""
    licence: str = ""
    cut: bool = False
    own: bool = False

    @property
    def text(self) -> str:
        """The last user message."""
        return self.conversation[-1].content

    @property
    def key(self) -> str:
        """Digest of what is asked, and of both replies."""
        return digest(self.conversation, self.good, self.bad, self.cut, self.own)

    @field_validator("conversation")
    @classmethod
    def _ends_with_the_user(cls, value: Conversation) -> Conversation:
        if not value or value[-1].role != "user" or not value[-1].content.strip():
            raise ValueError("it has to end with the user's turn")
        return value

    @field_validator("good", "bad")
    @classmethod
    def _says_something(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("the reply is empty")
        return value

    @field_validator("expect")
    @classmethod
    def _refuse_or_answer(cls, value: Expect) -> Expect:
        if value is Expect.CHOOSE:
            raise ValueError("'refuse' or 'answer' is wanted")
        return value


def read_examples(path: str | Path) -> list[Example]:
    """Return the examples of a file (JSONL, JSON, CSV or Parquet), in its order.

    Raises:
        BadFileError: a row is no example, or there is none; names the line.
    """
    path = Path(path)
    found = [_example(path, line, row) for line, row in read_rows(path)]
    if not found:
        raise BadFileError(path, "There is no example in it.", next_step=_NEXT_STEP)
    return found


def write_examples(path: str | Path, examples: Iterable[Example]) -> Path:
    """Write examples as JSONL, each in one line, and return the path; UsageError if it cannot be written."""
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(_row(each), ensure_ascii=False) + "\n" for each in examples)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(
            f"The examples cannot be written to {path}: {error.strerror or error}.", "Choose another --out."
        ) from error
    return path


def data_hash(examples: Iterable[Example]) -> str:
    """Return the digest of examples in their order."""
    return digest([each.key for each in examples])


def _row(example: Example) -> dict[str, Any]:
    row = example.model_dump(mode="json", exclude_defaults=True)
    turns = row.pop("conversation")
    alone = len(turns) == 1
    return {"prompt": turns[0]["content"], **row} if alone else {"messages": turns, **row}


def _example(path: Path, line: int, row: Mapping[str, Any]) -> Example:
    rest = {name: value for name, value in row.items() if name not in _TURNS and value is not None}
    try:
        if rest.get("hazard"):
            rest["hazard"] = taxonomy.load().hazard(str(rest["hazard"])).key
        return Example(conversation=conversation_of(path, line, row), **rest)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "row"
        reason = first["msg"].removeprefix("Value error, ")
        raise BadFileError(path, f"{place}: {reason}.", line=line, next_step=_NEXT_STEP) from None
    except UnknownNameError as error:
        raise BadFileError(path, error.message, line=line, next_step=error.next_step) from None
