"""Measure the refusal classes on constructed replies that training did not see.

There are next to no labelled partial refusals or off-topic replies. What is measured here is whether the
classifier finds constructions of phrases, prompts and goals that it was not trained on; it says nothing about
how often real replies of these classes look like our constructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harmless.guards.train import own
from harmless.guards.train.groups import folds
from harmless.guards.train.judge import Replies
from harmless.guards.train.replies import Classed, constructed, fit_refusal
from harmless.guards.views import REFUSAL_CLASSES, class_chances, refusal_views, relation

PARTS = 4


def held_out(data: Replies, seed: int) -> dict[str, Any]:
    """Return the classes and the confusion matrix (rows are the true class) on the held-out quarter.

    A quarter of the goals, of the prompts and of every list of phrases is used for the test alone.
    """
    rng = np.random.default_rng(seed)
    goals = np.unique([row.goal for row in data.rows], return_inverse=True)[1]
    fold = folds(goals, PARTS, rng)
    order = rng.permutation(len(data.prompts))
    cut = len(order) // PARTS
    phrases = {name: [options[i] for i in rng.permutation(len(options))] for name, options in _lists()}
    train = constructed(
        [row for row, held in zip(data.rows, fold, strict=True) if held],
        [data.prompts[i] for i in order[cut:]],
        rng,
        {name: options[len(options) // PARTS :] for name, options in phrases.items()},
    )
    test = constructed(
        [row for row, held in zip(data.rows, fold, strict=True) if not held],
        [data.prompts[i] for i in order[:cut]],
        rng,
        {name: options[: max(len(options) // PARTS, 1)] for name, options in phrases.items()},
    )
    return {"classes": list(REFUSAL_CLASSES), "confusion": _confusion(train, test, seed)}


def _confusion(train: Classed, test: Classed, seed: int) -> list[list[int]]:
    model = fit_refusal(train, seed)
    chances = class_chances(model.scores(refusal_views(test.replies), relation(test.prompts, test.replies)))
    table = np.zeros((len(REFUSAL_CLASSES),) * 2, np.int64)
    np.add.at(table, (test.classes, chances.argmax(axis=1)), 1)
    return [[int(count) for count in row] for row in table]


def _lists() -> list[tuple[str, list[str]]]:
    return list(own.texts("replies").items())
