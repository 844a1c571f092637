"""One row of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property

from pydantic import Field

from harmless.core.conversation import Conversation, user
from harmless.core.hashing import digest
from harmless.core.model import Model, Text


class Expect(StrEnum):
    """What a harmless and helpful target does with a prompt."""

    REFUSE = "refuse"
    ANSWER = "answer"
    CHOOSE = "choose"


class Prompt(Model):
    """Text or conversation, hazard, expectation, source and licence of one dataset row.

    ``id`` is unique within its suite. ``hazard`` is a taxonomy key (``salad.c.O57``) or None. ``pair`` links
    a harmful prompt to its benign twin. ``cluster`` names the shared origin (behaviour, template, pair) that
    makes rows dependent; statistics cluster by it. Where the target has to ``choose``, ``options`` are the
    texts to choose from (option 0 is A, 1 is B, ...) and ``correct`` the positions of the right ones, empty
    where none is right. ``meta`` holds what else a suite's own metric needs, all as text; its ``objective`` is
    what a disguised prompt is after.
    """

    id: Text
    conversation: Conversation
    expect: Expect
    hazard: str | None = None
    pair: Text | None = None
    cluster: Text | None = None
    source: Text = ""
    licence: Text = ""
    language: str = "en"
    options: tuple[Text, ...] = ()
    correct: tuple[int, ...] = ()
    meta: Mapping[str, Text] = Field(default_factory=dict)

    @property
    def text(self) -> str:
        """The last user message."""
        return next((m.content for m in reversed(self.conversation) if m.role == "user"), "")

    @property
    def aim(self) -> Conversation:
        """What replies are judged in view of: the objective where one is named, else the conversation."""
        objective = self.meta.get("objective")
        return user(objective) if objective else self.conversation

    @cached_property
    def content_hash(self) -> str:
        """Digest of what is asked, wanted and expected; the id, the licence and other ``meta`` leave it."""
        choice = (self.options, self.correct) if self.options else ()
        aim = (self.meta["objective"],) if self.meta.get("objective") else ()
        return digest(self.conversation, self.expect, self.hazard, *choice, *aim)
