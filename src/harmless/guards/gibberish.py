"""``gibberish``: text that no language would spell, by how surprising its rows of letters are."""

from __future__ import annotations

import math

import numpy as np

from harmless.core import Exchange, Finding, GuardInfo, Outcome, Verdict, digest
from harmless.guards.filters import Filter, text_of
from harmless.guards.letters import Bits, bits, latin, shipped

WINDOW = 30
"""Letters that are looked at together; the most surprising window counts."""
LEAST = 10
"""Letters that a text must have to be judged."""
LIMIT = 6.0
"""Bits a letter at which the score is one half. The worst window of ordinary English replies, code and formulas
among them, has 4 and seldom 5.8, other languages have up to 5.7, letters drawn at random 9 and seldom below 7.
"""
SCALE = 0.4
"""Bits a letter by which the odds grow to e times."""


class Gibberish(Filter):
    """Unsafe if a window of letters is too surprising for any language in Latin script.

    Text in other scripts is unassessed. Too short a text is safe.
    """

    def __init__(self, table: Bits) -> None:
        self._table = table
        revision = digest(WINDOW, LEAST, LIMIT, SCALE, table.tobytes().hex())
        super().__init__(
            GuardInfo(name="gibberish", revision=revision, sees="both", licence="Apache-2.0", batch_size=256)
        )

    def verdict(self, exchange: Exchange) -> Verdict:
        """Return how surprising the worst window is."""
        text = text_of(exchange)
        found, where = bits(text, self._table)
        letters = latin(text)
        if sum(map(str.isalpha, text)) > 2 * letters:
            return Verdict.unassessed("gibberish: most letters are not of the Latin script")
        if letters < LEAST:
            return Verdict(outcome=Outcome.SAFE, score=0.0, reason="too few letters")
        width = min(WINDOW, len(found))
        means = np.convolve(found, np.full(width, 1 / width), "valid")
        worst = int(means.argmax())
        score = 1 / (1 + math.exp((LIMIT - float(means[worst])) / SCALE))
        span = (int(where[worst]), min(len(text), int(where[worst + width - 1]) + 1))
        findings = [Finding(rule="gibberish", span=span, score=score)] if score >= self._info.threshold else []
        verdict = self.found(findings, "spelled as text is")
        labels = {"bits": round(float(means[worst]), 3)}
        return verdict.model_copy(update={"score": score, "labels": labels})


def gibberish() -> Gibberish:
    """Return the guard."""
    return Gibberish(shipped())
