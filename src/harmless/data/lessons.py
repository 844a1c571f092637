"""What a model is fine-tuned on, in the layouts that trainers take: a conversation and a reply to learn.

A row has one of these:

- ``prompt`` (or ``instruction``, with ``input``) and ``reply`` (or ``completion``, ``response``, ``output``);
- ``messages`` that end with the assistant's turn, or that end with the user's and have a reply beside them;
- preferences: ``chosen`` and ``rejected`` (or ``good`` and ``bad``) as texts beside a prompt, as lists of
  messages, or as hh-rlhf transcripts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harmless.core import Conversation, Message
from harmless.data.fields import RowError
from harmless.data.files import read_rows
from harmless.data.own import conversation_of
from harmless.data.readers.dialogues import turns_of
from harmless.errors import BadFileError

_PROMPT = ("prompt", "instruction", "question")
_REPLY = ("reply", "chosen", "good", "completion", "response", "output", "answer")
_WORSE = ("rejected", "bad")
_NEXT_STEP = "Give 'prompt' and 'reply', 'messages' that end with the assistant's, or 'chosen' and 'rejected'."


@dataclass(frozen=True, slots=True)
class Lesson:
    """A conversation that ends with the user's turn, the reply to learn and, in a preference, the worse one.

    An empty ``reply`` teaches nothing.
    """

    conversation: Conversation
    reply: str
    rejected: str | None = None

    @property
    def prompt(self) -> str:
        """All that is asked: the turns before the reply, a blank line between."""
        return "\n\n".join(turn.content for turn in self.conversation)


def read_lessons(path: str | Path) -> Iterator[tuple[dict[str, Any], Lesson]]:
    """Yield each row of a fine-tuning set (JSONL, JSON, CSV or Parquet) with what it teaches.

    Raises:
        BadFileError: a row has none of the layouts, or there is none; names the line.
    """
    path, found = Path(path), False
    for line, row in read_rows(path):
        found = True
        try:
            yield row, _lesson(path, line, row)
        except RowError as error:
            raise BadFileError(path, error.message, line=line, next_step=error.next_step) from None
    if not found:
        raise BadFileError(path, "There is no row in it.", next_step=_NEXT_STEP)


def _lesson(path: Path, line: int, row: Mapping[str, Any]) -> Lesson:
    reply, worse = _first(row, _REPLY), _first(row, _WORSE)
    before = _before(row)
    if reply is None and before and before[-1].role == "assistant":
        reply = before.pop().content
    taught = [*before, *_turns(reply)]
    if not taught or (reply is None and "messages" not in row):
        found = ", ".join(map(str, row)) or "nothing"
        raise RowError(f"There is no reply to learn (found: {found}).", _NEXT_STEP)
    learnt = taught.pop().content if taught[-1].role == "assistant" else ""
    messages = [turn.model_dump() for turn in taught]
    rejected = _turns(worse)[-1].content if worse is not None else None
    return Lesson(conversation_of(path, line, {"messages": messages}), learnt, rejected)


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _before(row: Mapping[str, Any]) -> list[Message]:
    """Return the turns of the columns that come before the reply; none where the reply holds them."""
    given = row.get("messages") or _first(row, _PROMPT)
    if isinstance(given, str):
        text = f"{given}\n\n{row['input']}" if row.get("input") else given
        return [Message(role="user", content=text)]
    return _turns(given)


def _turns(value: Any) -> list[Message]:
    """Return a text as the assistant's turn, a transcript or a list as its turns."""
    try:
        if value is None:
            return []
        if isinstance(value, str):
            is_transcript = value.lstrip("\n").startswith("Human:") and "\n\nAssistant:" in value
            return list(turns_of(value)) if is_transcript else [Message(role="assistant", content=value)]
        return [Message.model_validate({name: each[name] for name in ("role", "content")}) for each in value]
    except (ValueError, TypeError, KeyError):
        raise RowError("A turn is not an object with 'role' and 'content'.", _NEXT_STEP) from None
