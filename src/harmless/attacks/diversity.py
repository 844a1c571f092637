"""How different a set of attacks is: success alone rewards the same prompt over and over.

All measures depend on how many texts there are, so compare sets of the same size only; :func:`diversity` draws
a sample for that.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harmless.data.similar import encoder

#: Longest n-grams of BLEU, and what stands for no match at all (method 1 of Chen and Cherry 2014).
ORDER, _EPSILON = 4, 0.1
#: Texts that are compared; self-BLEU grows with the square of their number.
SAMPLE = 200

_WORD = re.compile(r"\w+|[^\w\s]")
_Grams: TypeAlias = Counter[tuple[str, ...]]


class Diversity(NamedTuple):
    """Measures of ``n`` texts: self-BLEU falls with diversity, the others grow; NaN for fewer than two."""

    n: int
    self_bleu: float
    distinct_1: float
    distinct_2: float
    dispersion: float
    vendi: float


def diversity(texts: Sequence[str], *, most: int = SAMPLE, seed: int = 0) -> Diversity:
    """Return the measures of up to ``most`` of the texts, drawn with ``seed``; TF-IDF stands for embeddings."""
    texts = list(texts) if len(texts) <= most else random.Random(seed).sample(list(texts), most)
    vectors = encoder("words").fit(texts)(texts) if texts else np.zeros((0, 1), np.float32)
    return Diversity(
        len(texts),
        self_bleu(texts),
        distinct(texts, 1),
        distinct(texts, 2),
        dispersion(vectors),
        vendi(vectors),
    )


def self_bleu(texts: Sequence[str], order: int = ORDER) -> float:
    """Return the mean BLEU, 0 to 1, of each text against all others (Zhu et al. 2018), smoothed by epsilon.

    BLEU is that of Papineni et al. 2002: geometric mean of clipped n-gram precisions, and a brevity penalty by
    the reference of the nearest length. Case does not count.
    """
    found = bleus(texts, order)
    return math.fsum(found) / len(found) if found else math.nan


def bleus(texts: Sequence[str], order: int = ORDER) -> list[float]:
    """Return the BLEU of each text against all others, see :func:`self_bleu`; nothing for fewer than two."""
    if len(texts) < 2:
        return []
    tokens = [_tokens(text) for text in texts]
    grams = [[_grams(each, n) for n in range(1, order + 1)] for each in tokens]
    highest = [_two_highest([each[n] for each in grams]) for n in range(order)]
    lengths = [len(each) for each in tokens]
    return [_bleu(i, grams[i], highest, lengths) for i in range(len(texts))]


def distinct(texts: Sequence[str], n: int) -> float:
    """Return the share of n-grams of words that are different (Li et al. 2016); NaN if there is none."""
    found = [gram for text in texts for gram in _grams(_tokens(text), n).elements()]
    return len(set(found)) / len(found) if found else math.nan


def dispersion(vectors: NDArray[np.floating]) -> float:
    """Return 1 - the mean cosine of all pairs of rows; ``vectors`` (texts, dimensions) are of unit length."""
    n = len(vectors)
    if n < 2:
        return math.nan
    total = float((vectors.sum(axis=0, dtype=np.float64) ** 2).sum())
    own = float((vectors.astype(np.float64) ** 2).sum())
    return 1 - (total - own) / (n * (n - 1))


def vendi(vectors: NDArray[np.floating]) -> float:
    """Return the effective number of different rows (Friedman and Dieng 2023), from 1 to their number.

    It is exp of the entropy of the eigenvalues of the matrix of cosines, divided by the number of rows.
    """
    if len(vectors) < 2:
        return math.nan
    rows = vectors.astype(np.float64)
    values = np.linalg.eigvalsh(rows @ rows.T / len(rows))
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def _tokens(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _grams(tokens: Sequence[str], n: int) -> _Grams:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _two_highest(counts: Sequence[_Grams]) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """Return for each n-gram its highest count, where that is, and the highest count elsewhere."""
    found: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for i, grams in enumerate(counts):
        for gram, count in grams.items():
            first, where, second = found.get(gram, (0, -1, 0))
            found[gram] = (count, i, first) if count > first else (first, where, max(second, count))
    return found


def _bleu(
    i: int,
    grams: Sequence[_Grams],
    highest: Sequence[dict[tuple[str, ...], tuple[int, int, int]]],
    lengths: Sequence[int],
) -> float:
    if not lengths[i]:
        return 0.0
    logs = []
    for own, known in zip(grams, highest, strict=True):
        clipped = 0
        for gram, count in own.items():
            first, where, second = known[gram]
            clipped += min(count, second if where == i else first)
        logs.append(math.log((clipped or _EPSILON) / max(own.total(), 1)))
    others = (length for j, length in enumerate(lengths) if j != i)
    nearest = min(others, key=lambda length: (abs(length - lengths[i]), length))
    brevity = min(0.0, 1 - nearest / lengths[i])
    return math.exp(brevity + math.fsum(logs) / len(logs))
