"""SmoothLLM: asks several times with some characters changed and follows the majority (Robey et al. 2023)."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Sequence

from harmless.core import Conversation, Exchange, Guard, Reply, Sampling, Target, Usage
from harmless.targets.defences.defence import Defence, with_last
from harmless.targets.speech import last_user_message

#: Copies, and the share of characters that are swapped in each, as in the authors' code.
COPIES, SHARE = 10, 0.1


class SmoothLLM(Defence):
    """Replies with one of the majority of the copies' replies, refused or not; a tie counts as refused.

    The copies follow from the text. Copies without a reply have no vote; if none has one, the first is given.
    """

    def __init__(self, target: Target, refusal: Guard) -> None:
        super().__init__("smooth_llm", target, COPIES, SHARE, guard=refusal)
        self._refusal = refusal

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return one reply a conversation; tokens of all copies are added up, the longest time counts."""
        copies = [
            with_last(each, swapped(last_user_message(each), number))
            for each in conversations
            for number in range(COPIES)
        ]
        replies = await self.target.reply(copies, sampling)
        refusals = await self._refused(copies, replies)
        starts = range(0, len(copies), COPIES)
        return [_voted(replies[i : i + COPIES], refusals[i : i + COPIES]) for i in starts]

    async def _refused(
        self, conversations: Sequence[Conversation], replies: Sequence[Reply]
    ) -> list[bool | None]:
        spoken = [i for i, reply in enumerate(replies) if reply.has_text]
        found: list[bool | None] = [None] * len(replies)
        exchanges = [Exchange(conversation=conversations[i], reply=replies[i].text) for i in spoken]
        for i, verdict in zip(spoken, await self._refusal.judge(exchanges), strict=True):
            found[i] = (
                max(verdict.labels, key=lambda n: verdict.labels[n]) == "refusal" if verdict.labels else None
            )
        return found


def swapped(text: str, number: int) -> str:
    """Return the copy of that number: a share of the characters is replaced by random printable ones."""
    rng, letters = random.Random(f"{number} {text}"), list(text)
    for place in rng.sample(range(len(letters)), int(len(letters) * SHARE)):
        letters[place] = rng.choice(string.printable)
    return "".join(letters)


def _voted(replies: Sequence[Reply], refused: Sequence[bool | None]) -> Reply:
    votes = [vote for vote in refused if vote is not None]
    majority = 2 * sum(votes) >= len(votes)
    chosen = next((r for r, vote in zip(replies, refused, strict=True) if vote is majority), replies[0])
    usage = Usage(
        prompt_tokens=sum(reply.usage.prompt_tokens for reply in replies),
        completion_tokens=sum(reply.usage.completion_tokens for reply in replies),
    )
    costs = [reply.cost_usd for reply in replies if reply.cost_usd is not None]
    update = {
        "usage": usage,
        "latency_s": max(reply.latency_s for reply in replies),
        "cost_usd": sum(costs) if costs else None,
    }
    return chosen.model_copy(update=update)


def smooth_llm(target: Target, guards: Callable[[str], Guard]) -> SmoothLLM:
    """Return the target behind SmoothLLM; the guard ``refusal`` tells refusals."""
    return SmoothLLM(target, guards("refusal"))
