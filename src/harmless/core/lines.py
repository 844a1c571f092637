"""A conversation as the messages that are sent to a model."""

from __future__ import annotations

from harmless.core.conversation import Conversation
from harmless.core.sampling import Sampling

Line = dict[str, str]


def lines(conversation: Conversation, sampling: Sampling) -> list[Line]:
    """Return the messages to send as plain data; the sampling's system prompt goes before the conversation's.

    Chat templates know one system message at the front, so the two are joined there.

    Raises:
        ValueError: there is nothing to answer, or it is not valid Unicode.
    """
    system, turns = _split(conversation, sampling)
    if not turns:
        raise ValueError("the conversation is empty")
    for text in (system, *(turn.content for turn in turns)):
        text.encode()
    said = [{"role": turn.role, "content": turn.content} for turn in turns]
    return [{"role": "system", "content": system}, *said] if system else said


def _split(conversation: Conversation, sampling: Sampling) -> tuple[str, Conversation]:
    """Return the whole system prompt, which may be empty, and the turns behind it."""
    first = next((i for i, turn in enumerate(conversation) if turn.role != "system"), len(conversation))
    parts = [sampling.system or "", *(turn.content for turn in conversation[:first])]
    return "\n\n".join(part for part in parts if part), conversation[first:]
