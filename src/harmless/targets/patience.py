"""Which failures of an endpoint are worth another try, after how long, and what they are called."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from harmless.core import ReplyStatus

#: Answers that may be better next time: time-out, conflict, too early, rate limit; and all of 500 and above.
_PASSING = frozenset({408, 409, 425, 429})
_SECRET = re.compile(r"\bsk-[\w-]{8,}|(?i:bearer)\s+\S+")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one reply is tried for.

    Args:
        tries: requests for one reply, the first included.
        first_wait_s, longest_wait_s: seconds between tries, doubling; an endpoint that asks for a longer
            wait (``Retry-After``) is given up at once.
        jitter_s: up to that much is added, so that many conversations do not come back together.
        total_s: no further try after that many seconds.
    """

    tries: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0
    jitter_s: float = 1.0
    total_s: float = 300.0


class RequestFailedError(Exception):
    """One failed request; its text is the cause, without secrets.

    Args:
        cause: what happened, one line.
        status: what becomes of the reply if it is not tried again.
        passing: whether another try may help.
        wait_s: seconds the endpoint asks to wait, if it does.
    """

    def __init__(
        self,
        cause: str,
        status: ReplyStatus = ReplyStatus.ERROR,
        *,
        passing: bool = False,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(cause)
        self.cause, self.status, self.passing, self.wait_s = cause, status, passing, wait_s


class Backoff:
    """Decides after each failure of one reply whether to try again: yes, no, or in so many seconds."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._malformed = 0

    def __call__(self, error: Exception) -> bool | float:
        """Return what stamina's backoff hooks return."""
        if not isinstance(error, RequestFailedError) or not error.passing:
            return False
        if error.status is ReplyStatus.MALFORMED:
            self._malformed += 1
            return self._malformed == 1
        if error.wait_s is None:
            return True
        if error.wait_s > self._patience.longest_wait_s:
            return False
        return error.wait_s + random.uniform(0, self._patience.jitter_s)


def http_failure(status: int, headers: Mapping[str, str], detail: str, code: str = "") -> RequestFailedError:
    """Return the failure of an answer with an HTTP error status.

    Args:
        status: the HTTP status.
        headers: of the answer; ``Retry-After`` counts, in seconds or as a date.
        detail: the endpoint's message, without secrets.
        code: the endpoint's own code and type of error, as far as it has them.
    """
    cause = f"http {status}" + (f": {detail}" if detail else "")
    if "content_filter" in code or "content_policy" in code:
        return RequestFailedError(
            f"prompt withheld by the provider's filter: {detail or code}", ReplyStatus.FILTERED
        )
    if status in (400, 413, 422) and _is_overflow(f"{code} {detail}"):
        return RequestFailedError(f"context overflow: {detail or code}")
    if "insufficient_quota" in code:
        return RequestFailedError(cause)
    wait_s = _retry_after(headers)
    if wait_s is not None:
        cause = f"http {status} (retry after {wait_s:.0f} s)" + (f": {detail}" if detail else "")
    return RequestFailedError(cause, passing=status in _PASSING or status >= 500, wait_s=wait_s)


def redact(text: str, secret: str | None = None) -> str:
    """Return ``text`` as one line of at most 300 characters without ``secret`` or what looks like a key."""
    if secret:
        text = text.replace(secret, "***")
    return _SECRET.sub("***", " ".join(text.split()))[:300]


def _is_overflow(text: str) -> bool:
    return bool(re.search(r"context.?(length|window|size)|prompt is too long|too many tokens", text, re.I))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of ``Retry-After``, None if there is none that can be read (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
