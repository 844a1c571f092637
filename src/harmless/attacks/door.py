"""Notices that a target no longer answers: it only fails, or it turns away the one who asks."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import yaml

from harmless.core import Reply
from harmless.errors import UnreachableError

#: Failures in a row, beside what may be under way, after which a campaign pauses.
FAILURES = 25
#: Replies in a row that turn away after which it pauses.
TURNED_AWAY = 5
#: Characters of the longest reply that is read as a notice.
_NOTICE = 300


class Door:
    """Counts the replies of one target that are none.

    A notice that came with an ordinary answer ("your account is suspended") is an error from the second time on
    that it comes in a row: so it is asked again later, and counts neither as a refusal nor as a reply.

    Args:
        name: of the target, for messages.
        under_way: questions that may be asked at the same time.
    """

    def __init__(self, name: str, under_way: int) -> None:
        self._name, self._patience = name, FAILURES + under_way
        self._failures = self._away = 0
        self._notice = ""

    def passed(self, reply: Reply) -> Reply:
        """Return the reply, an error if it is a notice that was there before.

        Raises:
            UnreachableError: the target only fails, or turns away.
        """
        reply = self._read(reply)
        failed = reply.status == "error" or reply.unjudged
        self._failures = self._failures + 1 if failed else 0
        self._away = self._away + 1 if failed and _signs("causes").search(reply.cause) else 0
        if self._away >= TURNED_AWAY:
            raise UnreachableError(
                f"{self._name} turns you away: {reply.cause}. The run pauses.",
                "Wait until it lets you in, or ask those who run it; the same command goes on from there.",
            )
        if self._failures >= self._patience:
            raise UnreachableError(
                f"The target {self._name} only fails: {reply.cause}.",
                "It may block or limit you: wait, then run the same command again; it goes on from there.",
            )
        return reply

    def _read(self, reply: Reply) -> Reply:
        text = " ".join(reply.text.split()) if reply.status == "complete" else ""
        notice = text if len(text) <= _NOTICE and _signs("replies").search(text) else ""
        again = bool(notice) and notice == self._notice
        self._notice = notice
        return Reply.error(f"turned away: {notice}", reply.latency_s) if again else reply


@cache
def _signs(where: str) -> re.Pattern[str]:
    text = resources.files(__package__).joinpath("turned_away.yaml").read_text(encoding="utf-8")
    return re.compile("|".join(f"(?:{sign})" for sign in yaml.safe_load(text)[where]), re.IGNORECASE)
