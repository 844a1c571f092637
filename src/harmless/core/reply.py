"""What a target gives back."""

from __future__ import annotations

from enum import StrEnum

from harmless.core.model import Model, Text


class ReplyStatus(StrEnum):
    """How a reply ended; only the first three carry text worth judging."""

    COMPLETE = "complete"  #: the model stopped by itself
    TRUNCATED = "truncated"  #: the token limit cut it
    BLOCKED = "blocked"  #: a guard in front of the model answered in its place; text is the refusal
    EMPTY = "empty"  #: the model answered with nothing or white space
    FILTERED = "filtered"  #: the provider's own filter withheld the reply
    MALFORMED = "malformed"  #: the endpoint answered with something that is not a reply
    ERROR = "error"  #: the endpoint could not be reached or answered with an error


#: How replies end that carry text.
SPOKEN = (ReplyStatus.COMPLETE, ReplyStatus.TRUNCATED, ReplyStatus.BLOCKED)


class Usage(Model):
    """Tokens used by one reply."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Reply(Model):
    """Text with usage, or an error with its cause.

    ``cause`` says in one line why a reply is not COMPLETE (``http 429``, ``blocked by rules`` ...);
    ``latency_s`` is wall time in seconds as seen by the target; ``cost_usd`` None when unknown.
    ``unjudged``: a guard blocked it because it could not judge, which is a failure and no defence.
    """

    status: ReplyStatus
    text: Text = ""
    usage: Usage = Usage()
    cause: Text = ""
    latency_s: float = 0.0
    cost_usd: float | None = None
    unjudged: bool = False

    @property
    def has_text(self) -> bool:
        """Whether there is text that a guard can judge."""
        return self.status in SPOKEN and not self.unjudged

    @property
    def withheld(self) -> bool:
        """Whether nothing of the model reached the user by design: blocked on a verdict, or filtered."""
        return self.status in (ReplyStatus.BLOCKED, ReplyStatus.FILTERED) and not self.unjudged

    @classmethod
    def error(cls, cause: str, latency_s: float = 0.0) -> Reply:
        """Return a reply that failed for ``cause``."""
        return cls(status=ReplyStatus.ERROR, cause=cause, latency_s=latency_s)
