"""How sure a guard model is: scores from the probabilities of its tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from harmless.core.completion import Token
from harmless.core.model import Model
from harmless.guards.parsers import Side

_NOTHING = 1e-50  # IBM's floor, which keeps the ratio defined


class PairScore(Model):
    """The share of the words that mean risk in the probability of those that decide.

    ``where`` is ``first`` (the first token that is one of the words, so that a line break may stand before
    it), ``last``, or ``all`` (sums over all places, as IBM does for Granite Guardian). Where the answer has
    fields, ``after`` is a pattern for each side, and the token behind its last match decides. With ``prefixes``
    the beginning of a word counts as the word, since tokenizers split ``unsafe`` in different ways.
    """

    risky: str
    benign: str
    where: Literal["first", "last", "all"] = "first"
    after: Mapping[Side, str] = Field(default_factory=dict)
    prefixes: bool = False

    def of(self, tokens: Sequence[Token], side: Side) -> float | None:
        """Return the score; None without log-probabilities or where no token is one of the words."""
        if self.after:
            tokens = _behind(self.after[side], tokens)
        places = [token for token in tokens if token.top and (self._is(token.text) or self.where == "all")]
        if self.where != "all":
            places = places[:1] if self.where == "first" else places[-1:]
        mass = {self.risky: _NOTHING, self.benign: _NOTHING}
        for place in places:
            for text, logprob in _alternatives(place):
                if word := self._is(text):
                    mass[word] += math.exp(logprob)
        total = sum(mass.values())
        return mass[self.risky] / total if total > 3 * _NOTHING else None

    def _is(self, text: str) -> str | None:
        said = text.strip().strip('"').lower()  # some tokenizers join the quote of JSON to the word
        words = (self.risky, self.benign)
        return next((word for word in words if said and self._counts(said, word)), None)

    def _counts(self, said: str, word: str) -> bool:
        return word.startswith(said) if self.prefixes else word == said


class ScaleScore(Model):
    """The expected value of a digit on a scale, from 0 for the first to 1 for the last."""

    scale: tuple[str, ...]

    def of(self, tokens: Sequence[Token], side: Side) -> float | None:
        """Return the score; None without log-probabilities or where no token is on the scale."""
        place = next((token for token in tokens if token.top and token.text.strip() in self.scale), None)
        if place is None:
            return None
        mass = dict.fromkeys(self.scale, 0.0)
        for text, logprob in _alternatives(place):
            if text.strip() in mass:
                mass[text.strip()] += math.exp(logprob)
        steps = len(self.scale) - 1
        return sum(i / steps * mass[digit] for i, digit in enumerate(self.scale)) / sum(mass.values())


def _behind(pattern: str, tokens: Sequence[Token]) -> Sequence[Token]:
    """Return the one token that holds the end of the last match in the text of all; empty if there is none."""
    found = list(re.finditer(pattern, "".join(token.text for token in tokens), re.IGNORECASE | re.MULTILINE))
    end = found[-1].end() if found else math.inf
    at = 0
    for token in tokens:
        at += len(token.text)
        if end < at:
            return [token]
    return []


def _alternatives(place: Token) -> Iterable[tuple[str, float]]:
    """Return the likely tokens of a place, and the chosen one where a server leaves it out."""
    chosen = (place.text, place.logprob)
    return place.top if any(text == place.text for text, _ in place.top) else (*place.top, chosen)
