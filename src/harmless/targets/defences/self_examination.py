"""Asks the target whether its own reply is harmful (Phute et al. 2023)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harmless.core import Conversation, Reply, Sampling, Target, user
from harmless.targets.defences.defence import Defence, refused, wording

_ANSWER = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


class SelfExamined(Defence):
    """Withholds a reply that the target itself calls harmful, and one on which it gives no answer."""

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return the replies, refusals in the place of those that were called harmful."""
        replies = await self.target.reply(conversations, sampling)
        spoken = [i for i, reply in enumerate(replies) if reply.has_text and not reply.withheld]
        questions = [user(wording()["self_examination"].format(text=replies[i].text)) for i in spoken]
        answers = await self.target.reply(questions, Sampling(max_tokens=8)) if questions else []
        for i, answer in zip(spoken, answers, strict=True):
            said = _ANSWER.search(answer.text)
            if said is None or said[1].lower() == "yes":
                cause = "called harmful" if said else "no answer whether it is harmful"
                replies[i] = refused(replies[i], "self_examination", cause)
        return replies


def self_examination(target: Target) -> SelfExamined:
    """Return the target that examines its replies."""
    return SelfExamined("self_examination", target, wording()["self_examination"])
