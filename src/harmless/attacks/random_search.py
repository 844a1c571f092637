"""Random search on log-probabilities (Andriushchenko et al. 2024): a suffix of words, changed at random.

A change is kept if it makes an affirmative first word likelier. It needs no gradient and no tokenizer, so any
target will do that tells how likely a reply is: a local model, or a service that gives log-probabilities.
"""

from __future__ import annotations

import functools
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.likely import likelihoods
from harmless.attacks.templates import templates
from harmless.attacks.templates.template import PLACE
from harmless.attacks.writing import whole_numbers, wording
from harmless.core import Conversation, Message, Target
from harmless.targets import load
from harmless.targets.options import TargetOptions

#: Suffixes that are looked at together, and words that are changed at most in one.
TOGETHER, CHANGED = 8, 4
_MODEL, _ROUNDS, _WORDS = "embedded", 10, 25
_MARKS = "!?.,:;-=+*#&()[]{}<>/"


@dataclass
class _State:
    """The best suffix so far, how likely it makes the beginning, and how many were looked at."""

    suffix: list[str]
    likelihood: float = -math.inf
    evaluated: int = 0
    said: set[tuple[str, ...]] = field(default_factory=set)


class RandomSearch:
    """Changes up to four neighbouring words at a time; asks with the best suffix after so many rounds of eight.

    Args:
        model: where log-probabilities are read, a spec of a target: the attacked one's or another's.
        rounds: of candidates between two calls of the target.
        words: length of the suffix.
        name: of the attack.
    """

    def __init__(self, model: str, rounds: int, words: int, name: str) -> None:
        self._spec, self._rounds, self._words = model, rounds, words
        self.info = AttackInfo(
            name=name,
            family="log-probabilities",
            calls=10,
            access="log-probabilities",
            adaptive=True,
            source="Andriushchenko et al. 2024",
        )

    async def run(self, session: Session) -> None:
        """Search and ask in turns; a search that found nothing better since the last call starts anew."""
        state = self._begun(session.random)
        while True:
            for _ in range(self._rounds):
                await self._round(session, state)
            if tuple(state.suffix) in state.said:
                state = self._begun(session.random)
                continue
            state.said.add(tuple(state.suffix))
            note = f"log p {state.likelihood:.2f}, {state.evaluated} candidates"
            await session.ask([_with(session, state.suffix)], note=note)

    async def _round(self, session: Session, state: _State) -> None:
        candidates = [changed(state.suffix, session.random) for _ in range(TOGETHER)]
        system = (Message(role="system", content=session.system),) if session.system else ()
        asked = [(*system, *_with(session, each)) for each in candidates]
        beginning = str(wording("gcg")["aim"]).partition(",")[0]
        found = await likelihoods(self._model, asked, beginning)
        state.evaluated += len(found)
        best = max(range(len(found)), key=found.__getitem__)
        if found[best] >= state.likelihood:
            state.suffix, state.likelihood = candidates[best], found[best]

    def _begun(self, rng: random.Random) -> _State:
        return _State(rng.choices(vocabulary(), k=self._words))

    @cached_property
    def _model(self) -> Target:
        return load(self._spec, TargetOptions())


@functools.cache
def vocabulary() -> list[str]:
    """Return what a suffix is made of: the words of our templates, and punctuation."""
    texts = (turn.replace(PLACE, "") for each in templates().values() for turn in each.turns)
    words = {word for text in texts for word in re.findall(r"[A-Za-z]{2,}", text)}
    return [*sorted(words), *_MARKS]


def changed(suffix: Sequence[str], rng: random.Random) -> list[str]:
    """Return the suffix with one to four neighbouring words drawn anew."""
    count = min(rng.randint(1, CHANGED), len(suffix))
    start = rng.randrange(len(suffix) - count + 1)
    return [*suffix[:start], *rng.choices(vocabulary(), k=count), *suffix[start + count :]]


def _with(session: Session, suffix: Sequence[str]) -> Conversation:
    *before, last = session.objective.conversation
    return (*before, Message(role="user", content=f"{last.content} {' '.join(suffix)}"))


def random_search(model: str = _MODEL, rounds: str = str(_ROUNDS), words: str = str(_WORDS)) -> RandomSearch:
    """Return the attack; UsageError if ``rounds`` or ``words`` is not a whole number above 0."""
    each, length = whole_numbers("random_search", rounds=rounds, words=words)
    usual = (model, each, length) == (_MODEL, _ROUNDS, _WORDS)
    name = "random_search" if usual else f"random_search({model}, {each}, {length})"
    return RandomSearch(model, each, length, name)
