"""The preference stage of Constitutional AI: a judge prefers one of two replies by a principle that is drawn.

Bai et al. 2022 (arXiv:2212.08073), section 4. Both orders are asked, since judges prefer a place; their mean
counts; a pair on which it is not sure enough is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harmless.align.asking import ask_all, chat, wording
from harmless.align.constitution import Constitution
from harmless.core import Conversation, LogProbTarget, Sampling, Target, user
from harmless.errors import HarmlessError

LETTERS = ("A", "B")

_ANSWER = Sampling(max_tokens=8)
_LETTER = re.compile(r"\W*\b([AB])\b")


class Fate(StrEnum):
    """What became of a pair."""

    PREFERRED = "preferred"
    UNSURE = "the judge is not sure"
    ORDER = "the order of the replies decides"
    NO_ANSWER = "the judge does not answer"
    SAME = "both replies are the same"


@dataclass(frozen=True, slots=True)
class Choice:
    """Two replies to a prompt."""

    conversation: Conversation
    replies: tuple[str, str]
    hazard: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the judge says of a choice by a principle.

    ``chances`` are the probabilities of the first reply, when it is shown first and when it is shown second.
    """

    choice: Choice
    principle: str
    fate: Fate
    chances: tuple[float, ...] = ()

    @property
    def chance(self) -> float:
        """The probability that the first reply is the better one, over both orders."""
        return sum(self.chances) / len(self.chances)

    @property
    def better(self) -> str:
        """The reply that is preferred."""
        return self.choice.replies[0 if self.chance > 0.5 else 1]

    @property
    def worse(self) -> str:
        """The other one."""
        return self.choice.replies[1 if self.chance > 0.5 else 0]


async def prefer(
    choices: Sequence[Choice], judge: Target, constitution: Constitution, *, margin: float = 0.1, seed: int = 0
) -> list[Feedback]:
    """Return the judge's feedback on each choice, in order.

    The judge is asked by the log-probabilities of A and B where it gives them, else for a letter (which counts
    as certain).

    Args:
        margin: how far the probability over both orders has to be from one half.
        seed: of the principles.
    """
    principles = [
        constitution.drawn(each.conversation[-1].content, each.hazard, 1, seed)[0] for each in choices
    ]
    requests = []
    for choice, principle in zip(choices, principles, strict=True):
        for first, second in (choice.replies, choice.replies[::-1]):
            said = {"chat": chat(choice.conversation), "first": first, "second": second}
            requests.append(user(wording("preference", principle=principle.text, **said)))
    answers = await _chances(judge, requests)
    found = []
    for i, (choice, principle) in enumerate(zip(choices, principles, strict=True)):
        shown_first, shown_second = answers[2 * i : 2 * i + 2]
        chances = () if shown_first is None or shown_second is None else (shown_first, 1 - shown_second)
        found.append(Feedback(choice, principle.id, _fate(choice, chances, margin), chances))
    return found


def _fate(choice: Choice, chances: tuple[float, ...], margin: float) -> Fate:
    if choice.replies[0].strip() == choice.replies[1].strip():
        return Fate.SAME
    if not chances:
        return Fate.NO_ANSWER
    if abs(sum(chances) / 2 - 0.5) >= margin:
        return Fate.PREFERRED
    return Fate.UNSURE if (chances[0] > 0.5) == (chances[1] > 0.5) else Fate.ORDER


async def _chances(judge: Target, requests: Sequence[Conversation]) -> list[float | None]:
    """Return the probability of A against B for each request, None where the judge gives no answer."""
    if isinstance(judge, LogProbTarget):
        return [await _by_likelihood(judge, request) for request in requests]
    found: list[float | None] = []
    for text in await ask_all(judge, requests, _ANSWER):
        letter = _LETTER.match(text)
        found.append(None if letter is None else float(letter[1] == LETTERS[0]))
    return found


async def _by_likelihood(judge: LogProbTarget, request: Conversation) -> float | None:
    try:
        first, second = (sum(each) for each in await judge.log_probability(request, LETTERS))
    except HarmlessError:
        return None
    return 1 / (1 + math.exp(min(second - first, 700.0)))
