"""From fields to items: prompts, labelled exchanges, preferences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from harmless.core import Conversation, Exchange, Expect, Message, Prompt, user
from harmless.data.catalog import Entry, Kind
from harmless.data.fields import Fields, RowError, hazard_of, looked_up
from harmless.data.rows import Item, Labelled, Preference

#: Fields that become attributes; all others go into ``meta``.
_USED = {"id", "text", "messages", "system", "reply", "source", "licence", "language", "cluster", "pair"}
_USED |= {"options", "correct", "chosen", "rejected"}


class EmptyRowError(ValueError):
    """A row without text or without the label that it needs; such rows are counted and left out."""


def build(entry: Entry, fields: Fields) -> Item:
    """Return the item of a row.

    Raises:
        EmptyRowError: there is no text, or no label.
        RowError: a label or a conversation is not what the set publishes.
    """
    item: Item = _BUILDERS[entry.kind](entry, fields)
    return item


def conversation_of(fields: Fields) -> Conversation:
    """Return the conversation of the fields ``messages``, or ``text`` with an optional ``system``."""
    if "messages" in fields:
        return messages_of(fields["messages"])
    text = fields.get("text")
    if not isinstance(text, str):
        if text is None:
            raise EmptyRowError
        raise RowError(f"The text is {type(text).__name__}, not text.")
    if not text.strip():
        raise EmptyRowError
    system = fields.get("system")
    return (Message(role="system", content=system), *user(text)) if system else user(text)


def messages_of(value: Any) -> Conversation:
    """Return published chat messages as a conversation; one that is a plain text is the assistant's.

    Raises:
        RowError: not a list of messages with a role and a content.
    """
    if isinstance(value, str):
        return (Message(role="assistant", content=value),)
    try:
        turns = tuple(
            m if isinstance(m, Message) else Message(role=m["role"], content=m["content"]) for m in value
        )
    except (ValidationError, KeyError, TypeError):
        raise RowError(
            "The messages are not a list of {role, content}.", "Roles are system, user, assistant."
        ) from None
    if not turns:
        raise EmptyRowError
    return turns


def _prompt(entry: Entry, fields: Fields) -> Prompt:
    expect = looked_up(entry.expect, fields)
    if expect is None:
        raise EmptyRowError
    conversation = () if fields.get("text") == () else conversation_of(fields)
    return Prompt(
        conversation=conversation,
        expect=Expect(expect),
        pair=fields.get("pair"),
        options=tuple(fields.get("options", ())),
        correct=tuple(fields.get("correct", ())),
        **_common(entry, fields),
    )


def _labelled(entry: Entry, fields: Fields) -> Labelled:
    conversation, reply = conversation_of(fields), fields.get("reply")
    prompt_unsafe = looked_up(entry.prompt_unsafe, fields)
    unsafe = looked_up(entry.unsafe, fields)
    if reply is None and entry.prompt_unsafe is not None:
        unsafe = prompt_unsafe
    return Labelled(
        exchange=Exchange(conversation=conversation, reply=reply),
        unsafe=unsafe,
        prompt_unsafe=prompt_unsafe,
        refused=looked_up(entry.refused, fields),
        **_common(entry, fields),
    )


def _preference(entry: Entry, fields: Fields) -> Preference:
    if not fields.get("chosen") or not fields.get("rejected"):
        raise EmptyRowError
    return Preference(
        prompt=conversation_of(fields),
        chosen=messages_of(fields["chosen"]),
        rejected=messages_of(fields["rejected"]),
        **_common(entry, fields),
    )


_BUILDERS: Mapping[Kind, Any] = {
    Kind.PROMPTS: _prompt,
    Kind.LABELLED: _labelled,
    Kind.PREFERENCES: _preference,
}


def _common(entry: Entry, fields: Fields) -> dict[str, Any]:
    cluster = fields.get("cluster")
    return {
        "id": str(fields["id"]),
        "hazard": hazard_of(entry, fields),
        "cluster": None if cluster is None else f"{entry.name}:{cluster}",
        "source": str(fields.get("source", entry.title)),
        "licence": str(fields.get("licence", entry.licence)),
        "language": str(fields.get("language", entry.language)),
        "meta": {name: _text(value) for name, value in fields.items() if name not in _USED},
    }


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping | Sequence):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
