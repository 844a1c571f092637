"""Messages and conversations."""

from __future__ import annotations

from typing import Literal, TypeAlias

from harmless.core.model import Model, Text

Role: TypeAlias = Literal["system", "user", "assistant"]


class Message(Model):
    """One turn: who speaks and what is said."""

    role: Role
    content: Text


Conversation: TypeAlias = tuple[Message, ...]
"""The turns so far, oldest first; the last one is the user's when a target is to reply."""


def user(text: str) -> Conversation:
    """Return the conversation that consists of one user message."""
    return (Message(role="user", content=text),)
