"""Names for clusters of failures: the words that set each apart from the others."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

_WORD = re.compile(r"[^\W\d_]{3,}")

K = TypeVar("K")


def cluster_terms(clusters: Mapping[K, Sequence[str]], most: int = 5) -> dict[K, list[str]]:
    """Return up to ``most`` words a cluster, the most telling first, by c-TF-IDF (Grootendorst 2022).

    The weight of a word is its share of the cluster's words times log(1 + A/f): A is the mean number of words a
    cluster, f how often the word occurs in all of them. Among equals the alphabet decides. Words of fewer than
    three letters are left out, and so are those that are in most of several clusters: they set none apart.
    """
    counts = {key: Counter(word for text in texts for word in _words(text)) for key, texts in clusters.items()}
    total: Counter[str] = sum(counts.values(), Counter())
    average = total.total() / max(len(counts), 1)
    clusters_with = Counter(word for counted in counts.values() for word in counted)
    common = {word for word, n in clusters_with.items() if len(counts) > 1 and n > len(counts) / 2}
    return {
        key: sorted(
            set(counted) - common,
            key=lambda word: (-counted[word] * math.log(1 + average / total[word]), word),
        )[:most]
        for key, counted in counts.items()
    }


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
