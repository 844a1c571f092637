"""Tells texts apart by their words alone: what a membership attack has to beat to show anything of a model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_FOLDS = 5


def blind_scores(texts: Sequence[str], members: NDArray[np.bool_], seed: int = 0) -> NDArray[np.float64]:
    """Return out-of-fold scores of naive Bayes on words, higher for members; shape (texts,).

    Sets of members and others that differ in their date or topic can be told apart without any model (Meeus et
    al. 2024).

    Args:
        texts: of both.
        members: which ones are; shape (texts,).
        seed: of the division into folds.
    """
    words = [Counter(_WORD.findall(text.lower())) for text in texts]
    fold = np.random.default_rng(seed).permutation(len(texts)) % _FOLDS
    scores = np.zeros(len(texts))
    for held in range(_FOLDS):
        seen = np.flatnonzero(fold != held)
        counts = [sum((words[i] for i in seen if members[i] == kind), Counter()) for kind in (True, False)]
        for i in np.flatnonzero(fold == held):
            scores[i] = _log_odds(words[i], *counts)
    return scores


def _log_odds(words: Counter[str], those: Counter[str], others: Counter[str]) -> float:
    """Return the mean log-odds of the words of a text; each is counted once more than it was seen."""
    size = len(those.keys() | others.keys()) + 1
    totals = [sum(each.values()) + size for each in (those, others)]
    odds = [
        n * (np.log((those[word] + 1) / totals[0]) - np.log((others[word] + 1) / totals[1]))
        for word, n in words.items()
    ]
    return float(np.sum(odds) / max(sum(words.values()), 1))
