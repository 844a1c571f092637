"""Texts that a further one may nearly repeat: few, growing, all matches exact; for many see ``overlap``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from math import ceil

from harmless.data.overlap import NEAR, grams, jaccard


class Known:
    """An index of texts by their character 5-grams.

    Two sets with a Jaccard index of at least t share one of the rarest n - t n + 1 members of either (prefix
    filter; Bayardo et al. 2007), so only texts that do are compared; none that matches is missed.

    Args:
        texts: what is known from the start; which grams are rare is decided by them.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._sets: list[frozenset[str]] = []
        self._holders: dict[str, list[int]] = defaultdict(list)
        texts = list(texts)
        self._common = Counter(gram for text in texts for gram in grams(text))
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Add a text; its place is the number of texts before it."""
        ours = grams(text)
        for gram in self._rarest(ours):
            self._holders[gram].append(len(self._sets))
        self._sets.append(ours)

    def matches(self, text: str) -> Iterator[tuple[int, float]]:
        """Yield place and Jaccard index of each known text that is a near-duplicate, in order."""
        ours = grams(text)
        for place in sorted({place for gram in self._rarest(ours) for place in self._holders.get(gram, ())}):
            score = jaccard(ours, self._sets[place])
            if score >= NEAR:
                yield place, score

    def _rarest(self, ours: frozenset[str]) -> list[str]:
        in_order = sorted(ours, key=lambda gram: (self._common[gram], gram))
        return in_order[: len(ours) - ceil(NEAR * len(ours)) + 1]
