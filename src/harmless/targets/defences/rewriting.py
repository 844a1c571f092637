"""Defences that rewrite what the user says, so that what was optimised in it falls apart (Jain et al. 2023)."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from harmless.core import Conversation, Reply, Sampling, Target, user
from harmless.targets.defences.defence import Defence, with_last, wording
from harmless.targets.speech import last_user_message

#: Share of words that are split; the authors drop as many merges of the tokenizer.
SHARE = 0.4
_PARAPHRASE_TOKENS = 200


class Retokenised(Defence):
    """Splits some words by a space. The same text is split in the same way."""

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return the replies to the last messages with some words split."""
        split = [with_last(each, split_words(last_user_message(each))) for each in conversations]
        return await self.target.reply(split, sampling)


class Paraphrased(Defence):
    """Answers its own paraphrase of the last message; where there is none, the message as it stands."""

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return the replies to paraphrases; tokens and time of both calls are added up."""
        asked = [user(wording()["paraphrase"].format(text=last_user_message(each))) for each in conversations]
        rewrite = Sampling(max_tokens=_PARAPHRASE_TOKENS)
        written = await self.target.reply(asked, rewrite)
        texts = [w.text.strip() if w.has_text else "" for w in written]
        conversations = [
            with_last(each, text) if text else each for each, text in zip(conversations, texts, strict=True)
        ]
        replies = await self.target.reply(conversations, sampling)
        return [_added(reply, w) for reply, w in zip(replies, written, strict=True)]


def split_words(text: str) -> str:
    """Return the text with about ``SHARE`` of its words of four or more letters split in two."""
    rng = random.Random(text)

    def split(word: re.Match[str]) -> str:
        place = rng.randint(1, len(word[0]) - 1)
        return f"{word[0][:place]} {word[0][place:]}" if rng.random() < SHARE else word[0]

    return re.sub(r"\w{4,}", split, text)


def _added(reply: Reply, before: Reply) -> Reply:
    used = {name: getattr(reply.usage, name) + n for name, n in before.usage.model_dump().items()}
    costs = [each.cost_usd for each in (reply, before) if each.cost_usd is not None]
    return reply.model_copy(
        update={
            "usage": reply.usage.model_copy(update=used),
            "latency_s": reply.latency_s + before.latency_s,
            "cost_usd": sum(costs) if costs else None,
        }
    )


def retokenise(target: Target) -> Retokenised:
    """Return the target whose users' words are split."""
    return Retokenised("retokenise", target, SHARE)


def paraphrase(target: Target) -> Paraphrased:
    """Return the target that answers its own paraphrases."""
    return Paraphrased("paraphrase", target, wording()["paraphrase"])
