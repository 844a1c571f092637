"""Edits of a prompt and what they do, and the test whether an attribution is faithful.

Words are left out in the order of their scores. If the scores are faithful, what they are said to drive falls
faster than in random order (Samek et al. 2017; deletion curves of Petsiuk et al. 2018).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from harmless.core import user
from harmless.core.model import Model
from harmless.explain.question import Question
from harmless.guards.flips import Span, without
from harmless.internals.chat import encode
from harmless.internals.model import LocalModel

ORDERS = 19
"""Random orders: scores that mean nothing come before all of them one time in twenty."""
STEPS, FINE = 2, 30
"""Points of the curve behind its start; ``FINE`` over the words if that is more: few words have few halves."""


class Deletion(Model):
    """The deletion curve of an attribution and those of random orders.

    ``left_out`` are counts of words; ``curve`` and ``random`` (mean over the orders) the measure without
    them. ``area`` and ``areas`` are the means of the curves, less where the measure begins, in nats: the more
    negative, the sooner it falls. ``faithful`` says whether it falls faster than in every random order; scores
    that mean nothing do so in one of twenty cases.
    """

    left_out: tuple[int, ...]
    curve: tuple[float, ...]
    random: tuple[float, ...]
    area: float
    areas: tuple[float, ...]
    faithful: bool


class Edits:
    """A prompt without some of its words, and the measure behind each; nothing is measured twice."""

    def __init__(self, local: LocalModel, question: Question, text: str, spans: Sequence[Span]) -> None:
        self._local, self._question, self._text = local, question, text
        self.spans = spans
        self._known: dict[frozenset[int], float] = {}

    @property
    def whole(self) -> float:
        """The measure behind the prompt as it is."""
        return self.of([frozenset()])[0]

    def alone(self) -> list[float]:
        """Return how much the measure falls without each word."""
        values = self.of([frozenset(), *(frozenset([i]) for i in range(len(self.spans)))])
        return [values[0] - value for value in values[1:]]

    def of(self, gone: Iterable[frozenset[int]]) -> list[float]:
        """Return the measure without each set of words."""
        asked = list(gone)
        new = [each for each in dict.fromkeys(asked) if each not in self._known]
        prompts = [encode(self._local, user(self._without(each))).tokens for each in new]
        self._known |= zip(new, self._question.values(self._local, prompts), strict=True)
        return [self._known[each] for each in asked]

    def tested(self, scores: Sequence[float]) -> Deletion:
        """Return the deletion curve of scores, the highest left out first, with its random orders."""
        count = len(self.spans)
        steps = max(STEPS, min(count, FINE // count))
        points = sorted({round(count * step / steps) for step in range(steps + 1)})
        draw = random.Random(0)
        orders = [sorted(range(count), key=lambda i: -scores[i])]
        orders += [draw.sample(range(count), count) for _ in range(ORDERS)]
        sets = [frozenset(order[:point]) for order in orders for point in points]
        values = iter(self.of(sets))
        curves = [[next(values) for _ in points] for _ in orders]
        areas = [sum(curve) / len(curve) - curve[0] for curve in curves]
        return Deletion(
            left_out=tuple(points),
            curve=tuple(curves[0]),
            random=tuple(sum(each) / ORDERS for each in zip(*curves[1:], strict=True)),
            area=areas[0],
            areas=tuple(areas[1:]),
            faithful=areas[0] < min(areas[1:]),
        )

    def _without(self, gone: frozenset[int]) -> str:
        return without(self._text, [self.spans[i] for i in gone])
