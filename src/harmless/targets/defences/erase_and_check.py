"""Erase-and-check: judges the request also without its last words (Kumar et al. 2023, suffix mode)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harmless.core import Conversation, Exchange, Guard, Outcome, Reply, ReplyStatus, Sampling, Target
from harmless.targets.defences.defence import Defence, refused, with_last
from harmless.targets.speech import last_user_message

#: Words that are erased at most.
MOST = 20


class EraseAndCheck(Defence):
    """Refuses what the guard flags, or cannot judge, with any of its last words erased.

    So a suffix that was added cannot hide a request that the guard knows.
    """

    def __init__(self, target: Target, guard: Guard) -> None:
        super().__init__("erase_and_check", target, MOST, guard=guard)
        self._guard = guard

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return the target's replies, refusals in the place of those whose request is flagged."""
        flagged = [await self._flagged(each) for each in conversations]
        passed = [each for each, stop in zip(conversations, flagged, strict=True) if not stop]
        replies = iter(await self.target.reply(passed, sampling) if passed else [])
        blocked = Reply(status=ReplyStatus.BLOCKED)
        return [
            refused(blocked, "erase_and_check", f"flagged by {self._guard.info.name}")
            if stop
            else next(replies)
            for stop in flagged
        ]

    async def _flagged(self, conversation: Conversation) -> bool:
        versions = [with_last(conversation, text) for text in erased(last_user_message(conversation))]
        verdicts = await self._guard.judge([Exchange(conversation=each) for each in versions])
        return any(verdict.outcome is not Outcome.SAFE for verdict in verdicts)


def erased(text: str) -> list[str]:
    """Return the text, and the text without its last 1 to ``MOST`` words; at least one word is left."""
    words = text.split()
    return [text, *(" ".join(words[:-n]) for n in range(1, min(MOST, len(words) - 1) + 1))]


def erase_and_check(target: Target, guards: Callable[[str], Guard]) -> EraseAndCheck:
    """Return the target behind erase-and-check with the guard ``embedded``."""
    return EraseAndCheck(target, guards("embedded"))
