"""Defences that add words of ours to the conversation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harmless.core import Conversation, Message, Reply, Sampling, Target
from harmless.targets.defences.defence import Defence, with_last, wording
from harmless.targets.speech import last_user_message


class Reminded(Defence):
    """Asks the target a conversation that ``remind`` has added to."""

    def __init__(self, name: str, target: Target, remind: Callable[[Conversation], Conversation]) -> None:
        super().__init__(name, target, wording()[name])
        self._remind = remind

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return the replies to the conversations with the added words."""
        return await self.target.reply([self._remind(each) for each in conversations], sampling)


def self_reminder(target: Target) -> Reminded:
    """Return the target with a reminder before and behind the last message (Xie et al. 2023)."""
    return Reminded("self_reminder", target, lambda each: _between(each, "self_reminder"))


def goal_priority(target: Target) -> Reminded:
    """Return the target with safety put first (Zhang et al. 2023, the variant without training)."""
    return Reminded("goal_priority", target, lambda each: _between(each, "goal_priority"))


def in_context(target: Target) -> Reminded:
    """Return the target that is shown a refused request first (in-context defence, Wei et al. 2023)."""
    shown = tuple(Message(role=role, content=text) for role, text in wording()["in_context"].items())

    def remind(conversation: Conversation) -> Conversation:
        first = next((i for i, message in enumerate(conversation) if message.role != "system"), 0)
        return (*conversation[:first], *shown, *conversation[first:])

    return Reminded("in_context", target, remind)


def _between(conversation: Conversation, name: str) -> Conversation:
    words = wording()[name]
    return with_last(conversation, words["before"] + last_user_message(conversation) + words["after"])
