"""Which claims of a reply a model would not make again, and the words and tokens behind them.

The target is asked the same several times. A claim (a sentence of the reply) that the other replies do not
support is doubtful (SelfCheckGPT, Manakul et al. 2023). In each of the others the sentence nearest to the claim
stands for what it says there; the entropy over their meanings is the semantic entropy of the claim (after
Farquhar et al. 2024). Errors that a model makes every time are invisible to both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from harmless.core import Sampling, Target, user
from harmless.core.model import Model
from harmless.errors import UnreachableError
from harmless.guards.asked import ask, cause, resampled
from harmless.guards.flips import Span
from harmless.guards.hallucination import LEAST
from harmless.guards.semantic_entropy import Same, clusters, entropy
from harmless.guards.support import Nli, content, rarity, sentences, tokens
from harmless.internals.chat import encode
from harmless.internals.model import LocalModel

SAMPLES, TEMPERATURE = 5, 1.0
#: Share of content words, each way, above which two sentences say the same where there is no other measure.
ALIKE = 0.7
DOUBTFUL = 0.5
_WORD = re.compile(r"[^\W_]+")


class Word(Model):
    """A word of a claim that carries what is said (``span`` in characters of the reply), and the share of other
    replies that lack it."""

    span: Span
    word: str
    missing: float


class Token(Model):
    """A token of the reply (``span`` in characters) and its surprisal in nats."""

    span: Span
    surprisal: float


class Claim(Model):
    """A sentence of a reply.

    ``doubt`` is from 0 (every other reply supports it) to 1, None if it could not be compared; ``entropy``
    that over what the others say in its place, in nats, ``meanings`` how many different things these are.
    ``surprisal`` is the mean of its tokens in nats, where the model is at hand.
    """

    span: Span
    text: str
    doubt: float | None
    entropy: float
    meanings: int
    words: tuple[Word, ...]
    surprisal: float | None = None

    @property
    def doubtful(self) -> bool:
        """Whether the others support it less than they do not."""
        return self.doubt is not None and self.doubt >= DOUBTFUL


class Claims(Model):
    """A reply taken apart into claims. ``samples`` is how many other replies it was compared with."""

    target: str
    prompt: str
    reply: str
    samples: int
    claims: tuple[Claim, ...]
    tokens: tuple[Token, ...] = ()


async def claims(
    target: Target,
    prompt: str,
    sampling: Sampling,
    *,
    reply: str | None = None,
    samples: int = SAMPLES,
    nli: Nli | None = None,
) -> Claims:
    """Return the claims of a reply with what other replies of the same target say of them.

    Args:
        target: is asked ``samples`` times at temperature 1.
        prompt: one user message.
        sampling: how the reply itself is asked for, where none is given; its longest reply holds for all.
        reply: the reply to look at.
        samples: how many others.
        nli: a model of natural language inference; without it words are compared.

    Raises:
        UnreachableError: there is no reply with text, or fewer than two others.
    """
    if reply is None:
        (first,) = await ask(target, [user(prompt)], sampling)
        if not first.has_text:
            raise UnreachableError(f"No reply came: {cause([first])}.", "Check the target.")
        reply = first.text
    warm = sampling.model_copy(update={"temperature": TEMPERATURE, "seed": 1})
    (again,) = await resampled(target, [user(prompt)], samples, warm)
    others = [each.text for each in again if each.has_text and each.text.strip()]
    if len(others) < LEAST:
        raise UnreachableError(f"Only {len(others)} other replies came: {cause(again)}.", "Check the target.")
    spans = sentences(reply)
    doubts = await _doubts([reply[a:b] for a, b in spans], others, nli)
    found = Claims(target=target.info.name, prompt=prompt, reply=reply, samples=len(others), claims=())
    rated = zip(spans, doubts, strict=True)
    each = [await _claim(found, span, doubt, others, nli) for span, doubt in rated]
    return found.model_copy(update={"claims": tuple(each)})


async def _doubts(parts: Sequence[str], others: Sequence[str], nli: Nli | None) -> list[float | None]:
    if nli is None:
        return [rarity(part, others) for part in parts]
    table = await nli.measure(parts, others)
    return [float(np.nanmean(row)) if not np.isnan(row).all() else None for row in table]


async def _claim(
    found: Claims, span: Span, doubt: float | None, others: Sequence[str], nli: Nli | None
) -> Claim:
    reply = found.reply
    text = reply[slice(*span)]
    nearest = [_nearest(text, each) for each in others]
    groups = await clusters(found.prompt, nearest, _entailing(nli) if nli else alike)
    known = [set(tokens(each)) for each in others]
    words, at = [], span[0]
    for word in content(text):
        start = reply.lower().find(word, at)
        if start < 0:
            continue
        at = start + len(word)
        missing = sum(word not in each for each in known) / len(known)
        words.append(Word(span=(start, at), word=reply[start:at], missing=missing))
    return Claim(
        span=span,
        text=text,
        doubt=doubt,
        entropy=entropy([len(group) for group in groups]),
        meanings=len(groups),
        words=tuple(words),
    )


def _nearest(claim: str, reply: str) -> str:
    """Return the sentence of a reply that shares most words with a claim."""
    wanted = set(tokens(claim))
    parts = [reply[a:b] for a, b in sentences(reply)] or [reply]
    return max(parts, key=lambda part: _shared(wanted, set(tokens(part))))


def _shared(one: set[str], other: set[str]) -> float:
    return len(one & other) / max(len(one | other), 1)


async def alike(question: str, first: str, second: str) -> bool:
    """Return whether two sentences have the same names and numbers, and most of their content words."""
    if _named(first) != _named(second):
        return False
    one, other = set(content(first)), set(content(second))
    if not one or not other:
        return tokens(first) == tokens(second)
    return len(one & other) / max(len(one), len(other)) >= ALIKE


def _named(text: str) -> set[str]:
    """Return the numbers of a sentence, and the words behind its first that have a capital."""
    words = _WORD.findall(text)
    return {word.lower() for i, word in enumerate(words) if not word.isalpha() or (i and word[0].isupper())}


def _entailing(nli: Nli) -> Same:
    async def same(question: str, first: str, second: str) -> bool:
        return all(await nli.entails([(first, second), (second, first)]))

    return same


def with_tokens(found: Claims, local: LocalModel) -> Claims:
    """Return the claims with the surprisal of each token of the reply by a model at hand."""
    import torch

    encoded = encode(local, user(found.prompt), found.reply)
    ids = encoded.tokens
    with torch.inference_mode():
        logits = (
            local.model(torch.tensor([ids], device=local.device)).logits[0, encoded.prompt - 1 : -1].float()
        )
    wanted = torch.tensor(ids[encoded.prompt :], device=logits.device)
    values = -torch.log_softmax(logits, dim=-1).gather(1, wanted[:, None])[:, 0]
    seen, at = [], 0
    for end, value in enumerate(values.tolist(), 1):
        stop = len(
            local.tokenizer.decode(list(ids[encoded.prompt : encoded.prompt + end]), skip_special_tokens=True)
        )
        if stop > at and stop <= len(found.reply):
            seen.append(Token(span=(at, stop), surprisal=value))
            at = stop
    return found.model_copy(
        update={"tokens": tuple(seen), "claims": tuple(_surprising(each, seen) for each in found.claims)}
    )


def _surprising(claim: Claim, seen: Sequence[Token]) -> Claim:
    start, end = claim.span
    inside = [each.surprisal for each in seen if each.span[0] < end and each.span[1] > start]
    return claim.model_copy(update={"surprisal": float(np.mean(inside)) if inside else None})
