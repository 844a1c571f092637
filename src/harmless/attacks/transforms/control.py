"""The benign control of transforms: which disguises a target reads at all.

An attack in a code that the target cannot read fails without a refusal. Harmless questions through the same
transform tell the two apart: where few of them are answered, a low success rate says nothing about safety.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Sequence
from importlib import resources
from itertools import islice

import yaml

from harmless.attacks.transforms.transform import chain
from harmless.core import Sampling, Target, user
from harmless.core.model import Model


class Question(Model):
    """A harmless question, and the words of which one is in every right answer."""

    ask: str
    words: tuple[str, ...]


class Understood(Model):
    """How many of the harmless questions in one form were answered, of those that got a reply."""

    spec: str
    answered: int
    replies: int


async def understood(
    target: Target, specs: Sequence[Sequence[str]], sampling: Sampling | None = None, *, seed: int = 0
) -> list[Understood]:
    """Ask the harmless questions in every form, and return how many were answered.

    Args:
        target: whom to ask.
        specs: chains of transforms, each a list of specs as in ``[["rot13", "markdown"]]``; an empty one asks
            without any.
        sampling: how to ask.
        seed: of transforms that need random numbers.

    Raises:
        UnknownNameError, UsageError: a transform does not exist or not with these arguments.
    """
    chains = [chain(each) if each else None for each in specs]
    found = []
    for each in chains:
        rng = random.Random(seed)
        asked = [q.ask if each is None else each.instructed(q.ask, rng) for q in questions()]
        right = replies = 0
        pairs = iter(zip(asked, questions(), strict=True))
        while batch := list(islice(pairs, target.info.batch_size)):
            got = await target.reply([user(text) for text, _ in batch], sampling or Sampling())
            for reply, (_, question) in zip(got, batch, strict=True):
                plain = each.decoded(reply.text) if each and each.decodes_reply else reply.text
                replies += reply.has_text
                right += reply.has_text and is_answer(plain, question)
        found.append(Understood(spec=each.spec if each else "", answered=right, replies=replies))
    return found


def is_answer(reply: str, question: Question) -> bool:
    """Return whether a reply has one of the words in it."""
    return any(re.search(rf"\b{re.escape(word)}\b", reply.lower()) for word in question.words)


@functools.cache
def questions() -> tuple[Question, ...]:
    """Return the harmless questions."""
    text = resources.files(__package__).joinpath("control.yaml").read_text(encoding="utf-8")
    return tuple(Question.model_validate(row) for row in yaml.safe_load(text))
