"""A target that answers from the evidence what it has answered before."""

from __future__ import annotations

from collections.abc import Sequence

from harmless.core import Conversation, Reply, Sampling, Target, TargetInfo
from harmless.evidence import Store, ask_key


class RecordedTarget:
    """Wraps a target: a question that has a reply in the store, with the same sampling, is not asked again.

    Used where a guard is put in front of a target that was just checked: both runs then see the very same
    replies, so that the comparison is of the guard alone, and nothing is paid for twice.
    """

    def __init__(self, target: Target, store: Store) -> None:
        self._target, self._store = target, store

    @property
    def info(self) -> TargetInfo:
        """That of the wrapped target: the answers are its own."""
        return self._target.info

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return recorded replies, and ask the target for the others."""
        replies = [self._store.recall(ask_key(self.info, sampling, c)) for c in conversations]
        open_ = [i for i, reply in enumerate(replies) if reply is None]
        if open_:
            fresh = await self._target.reply([conversations[i] for i in open_], sampling)
            for i, reply in zip(open_, fresh, strict=True):
                replies[i] = reply
        return [reply for reply in replies if reply is not None]

    async def aclose(self) -> None:
        """Close the wrapped target."""
        await self._target.aclose()
