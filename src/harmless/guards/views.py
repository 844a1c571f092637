"""What the trained guards look at in an exchange, the same in training and at run time."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harmless.core.exchange import Exchange
from harmless.guards.features import Features, fold, hashed
from harmless.guards.linear import sigmoid, softmax

REPLY_BITS = 17
OPENING, REST, WHOLE, LEAD, ASK = 1, 2, 3, 4, 5
LEAD_CHARS = 60
OPENING_CHARS, REPLY_CHARS, PROMPT_CHARS = 200, 1200, 2000
DENSE = ("taken", "overlap", "echo", "reply_length", "prompt_length", "distinct", "letters", "new")
REFUSAL_CLASSES = ("refusal", "partial_refusal", "compliance", "off_topic")

_CONTENT = re.compile(r"[^\W\d_]{4,}")


def prompt_text(exchange: Exchange) -> str:
    """Return what the user asks: the last user message after the earlier ones, for they may set the trap."""
    return "\n".join(m.content for m in exchange.conversation if m.role == "user")


def refusal_views(replies: Sequence[str]) -> list[Features]:
    """Return the lead, the opening (lead included) and the rest of every reply, in columns of their own."""
    return [
        hashed([reply.strip()[:LEAD_CHARS] for reply in replies], REPLY_BITS, LEAD),
        hashed([reply.strip()[:OPENING_CHARS] for reply in replies], REPLY_BITS, OPENING),
        hashed([reply.strip()[OPENING_CHARS:REPLY_CHARS] for reply in replies], REPLY_BITS, REST),
    ]


def class_chances(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (texts, 4) probabilities of ``REFUSAL_CLASSES`` from the scores of their heads.

    The last head says off-topic or not; the others share what is left by softmax.
    """
    off = sigmoid(scores[:, -1:])
    return np.concatenate([softmax(scores[:, :-1]) * (1 - off), off], axis=1)


def ask_views(prompts: Sequence[str]) -> list[Features]:
    """Return every prompt as far as it is read, in columns of its own."""
    return [hashed([prompt[:PROMPT_CHARS] for prompt in prompts], REPLY_BITS, ASK)]


def harm_views(replies: Sequence[str]) -> list[Features]:
    """Return the whole of every reply as far as it is read."""
    return [hashed([reply.strip()[:REPLY_CHARS] for reply in replies], REPLY_BITS, WHOLE)]


def relation(prompts: Sequence[str], replies: Sequence[str]) -> NDArray[np.float32]:
    """Return the (texts, len(DENSE)) numbers that relate every reply to its prompt, each from 0 to about 1.

    ``taken`` counts the content words of the prompt that the reply takes up, as log(1 + n) / 3; ``overlap`` is
    their share of the smaller of both vocabularies, ``echo`` of the reply's; lengths are log(1 + characters)
    / 8; ``distinct`` is the share of the reply's words that are not repeats, ``letters`` that of letters.
    """
    return np.array([_relation(*pair) for pair in zip(prompts, replies, strict=True)], np.float32).reshape(
        len(prompts), len(DENSE)
    )


def _relation(prompt: str, reply: str) -> tuple[float, ...]:
    prompt, reply = fold(prompt)[:PROMPT_CHARS], fold(reply.strip())[:REPLY_CHARS]
    asked = {word[:5] for word in _CONTENT.findall(prompt)}
    answered = {word[:5] for word in _CONTENT.findall(reply)}
    shared = len(asked & answered)
    every = reply.split()
    return (
        math.log1p(shared) / 3,
        shared / max(min(len(asked), len(answered)), 1),
        shared / max(len(answered), 1),
        math.log1p(len(reply)) / 8,
        math.log1p(len(prompt)) / 8,
        len(set(every)) / max(len(every), 1),
        sum(map(str.isalpha, reply[:400])) / max(len(reply[:400]), 1),
        math.log1p(len(answered) - shared) / 5,
    )
