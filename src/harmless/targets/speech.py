"""What all kinds share: the messages that are sent, and the reply that a text makes."""

from __future__ import annotations

from harmless.core import Conversation, Reply, ReplyStatus, Sampling, Usage

Line = dict[str, str]


def lines(conversation: Conversation, sampling: Sampling) -> list[Line]:
    """Return the messages to send as plain data; the sampling's system prompt goes before the conversation's.

    Chat templates know one system message at the front, so the two are joined there.

    Raises:
        ValueError: there is nothing to answer, or it is not valid Unicode.
    """
    system, turns = split_system(conversation, sampling)
    if not turns:
        raise ValueError("the conversation is empty")
    for text in (system, *(turn.content for turn in turns)):
        text.encode()
    said = [{"role": turn.role, "content": turn.content} for turn in turns]
    return [{"role": "system", "content": system}, *said] if system else said


def split_system(conversation: Conversation, sampling: Sampling) -> tuple[str, Conversation]:
    """Return the whole system prompt, which may be empty, and the turns behind it."""
    first = next((i for i, turn in enumerate(conversation) if turn.role != "system"), len(conversation))
    parts = [sampling.system or "", *(turn.content for turn in conversation[:first])]
    return "\n\n".join(part for part in parts if part), conversation[first:]


def spoken(text: str, *, cut: str = "", usage: Usage | None = None, latency_s: float = 0.0) -> Reply:
    """Return the reply that consists of ``text``: complete, truncated (``cut`` says by what) or empty."""
    status, cause = ReplyStatus.COMPLETE, ""
    if not text.strip():
        status, cause = ReplyStatus.EMPTY, f"no text before {cut}" if cut else "no text"
    elif cut:
        status, cause = ReplyStatus.TRUNCATED, cut
    return Reply(status=status, text=text, cause=cause, usage=usage or Usage(), latency_s=latency_s)


def last_user_message(conversation: Conversation) -> str:
    """Return the last thing the user said, or an empty string."""
    return next((turn.content for turn in reversed(conversation) if turn.role == "user"), "")
