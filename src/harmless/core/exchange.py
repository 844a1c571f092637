"""What a guard judges."""

from __future__ import annotations

from harmless.core.conversation import Conversation, user
from harmless.core.model import Model, Text


class Exchange(Model):
    """The conversation so far and, where there is one, the reply to judge.

    With ``reply`` None the guard judges the last user message in its context; otherwise the reply.
    """

    conversation: Conversation
    reply: Text | None = None

    @classmethod
    def of(cls, prompt: str, reply: str | None = None) -> Exchange:
        """Return the exchange of a single user message and, if given, the reply to it."""
        return cls(conversation=user(prompt), reply=reply)

    @property
    def prompt(self) -> str:
        """The last user message, or an empty string if there is none."""
        return next((m.content for m in reversed(self.conversation) if m.role == "user"), "")
