"""What all kinds share: the reply that a text makes, and what was asked."""

from __future__ import annotations

from harmless.core import Conversation, Reply, ReplyStatus, Usage


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
