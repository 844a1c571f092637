"""One row of a data set."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property

from harmless.core.conversation import Conversation
from harmless.core.hashing import digest
from harmless.core.model import Model


class Expect(StrEnum):
    """What a harmless and helpful target does with a prompt."""

    REFUSE = "refuse"
    ANSWER = "answer"
    CHOOSE = "choose"


class Prompt(Model):
    """Text or conversation, hazard, expectation, source and licence of one dataset row.

    ``id`` is unique within its suite. ``hazard`` is a taxonomy key (``salad.c.O57``) or None. ``pair`` links
    a harmful prompt to its benign twin. ``cluster`` names the shared origin (behaviour, template, pair) that
    makes rows dependent; statistics cluster by it.
    """

    id: str
    conversation: Conversation
    expect: Expect
    hazard: str | None = None
    pair: str | None = None
    cluster: str | None = None
    source: str = ""
    licence: str = ""
    language: str = "en"

    @property
    def text(self) -> str:
        """The last user message."""
        return next((m.content for m in reversed(self.conversation) if m.role == "user"), "")

    @cached_property
    def content_hash(self) -> str:
        """Digest of what is asked and expected; the id and the licence do not change it."""
        return digest(self.conversation, self.expect, self.hazard)
