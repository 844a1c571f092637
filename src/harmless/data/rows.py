"""What the rows of data sets become: prompts to ask, exchanges with labels, pairs of preferences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from pydantic import Field

from harmless.core import Conversation, Exchange, Prompt
from harmless.core.model import Model


class Labelled(Model):
    """An exchange that people or a model have judged; to measure and train guards with.

    ``unsafe`` is the label of the reply where the exchange has one, otherwise that of the prompt; ``refused``
    whether the reply refuses; None where there is no label. ``prompt_unsafe`` is the label of the prompt where
    the reply has one of its own. ``hazard`` is a taxonomy key; ``meta`` holds further columns as text.
    """

    id: str
    exchange: Exchange
    unsafe: bool | None = None
    prompt_unsafe: bool | None = None
    refused: bool | None = None
    hazard: str | None = None
    cluster: str | None = None
    source: str = ""
    licence: str = ""
    language: str = "en"
    meta: Mapping[str, str] = Field(default_factory=dict)

    @property
    def text(self) -> str:
        """What is judged: the reply, or the last user message where there is none."""
        return self.exchange.prompt if self.exchange.reply is None else self.exchange.reply


class Preference(Model):
    """A conversation and two ways it went on, of which people or a model preferred the first.

    ``chosen`` and ``rejected`` are the turns after those that both share; mostly one assistant turn each.
    """

    id: str
    prompt: Conversation
    chosen: Conversation
    rejected: Conversation
    hazard: str | None = None
    cluster: str | None = None
    source: str = ""
    licence: str = ""
    language: str = "en"
    meta: Mapping[str, str] = Field(default_factory=dict)

    @property
    def text(self) -> str:
        """The last user message."""
        return next((m.content for m in reversed(self.prompt) if m.role == "user"), "")


Item: TypeAlias = Prompt | Labelled | Preference
