"""Duplicates and contamination: which texts of one list occur, exactly or nearly, in another.

Three ways, each looking only at what the ones before have not found:

- *exact*: equal after normalisation (NFKC, case, punctuation and white space do not count);
- *near*: the sets of character 5-grams have a Jaccard index of at least 0.6. Candidates come from MinHash with
  256 permutations in 64 bands (Broder 1997; the library rensa); the likeliest are verified on the sets
  themselves, so there are no false hits. The bands miss about 1 in 7,000 pairs at the threshold, fewer above,
  more below (1 in 60 at 0.5);
- *alike*: the cosine of two embeddings reaches a threshold. The default embedding is TF-IDF over words, which
  finds re-ordered and re-framed texts but no paraphrase in other words; give a sentence encoder for those.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from harmless.data.similar import Encoder, alike
from harmless.data.suites import Suite
from harmless.errors import GateFailedError, MissingExtraError

How: TypeAlias = Literal["exact", "near", "alike"]

NEAR = 0.6
_GRAM, _PERMUTATIONS, _BANDS, _SEED, _BATCH = 5, 256, 64, 1, 1000
_SLACK = 0.1  # three standard deviations of a MinHash estimate at the threshold
_VERIFIED = 8
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Match:
    """The best match of row ``b`` of the second list: row ``a`` of the first; ``score`` from 0 to 1."""

    a: int
    b: int
    score: float
    how: How


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two lists of ``a`` and ``b`` texts share; one match for each row of the second that has any."""

    a: int
    b: int
    matches: tuple[Match, ...]

    def count(self, how: How) -> int:
        """Return how many rows of the second list are matched in that way."""
        return sum(match.how == how for match in self.matches)

    @property
    def exact(self) -> int:
        """Rows of the second list that also are in the first."""
        return self.count("exact")

    @property
    def near(self) -> int:
        """Further rows of the second list that nearly are in the first."""
        return self.count("near")

    @property
    def alike(self) -> int:
        """Further rows of the second list that are similar by their embedding."""
        return self.count("alike")

    @property
    def share(self) -> float:
        """The share of the second list that is matched in any way, 0 to 1."""
        return len(self.matches) / self.b if self.b else 0.0


def overlap(
    a: Sequence[str], b: Sequence[str], *, near: float | None = NEAR, encoder: Encoder | None = None
) -> Overlap:
    """Return which texts of ``b`` occur in ``a``.

    Args:
        near: the Jaccard index from which texts are near-duplicates, 0.5 to 1; None looks for exact ones only.
        encoder: also compare by embedding, see :mod:`harmless.data.similar`; None does not.

    Raises:
        MissingExtraError: ``near`` without the extra ``data``.
    """
    found = _exact(a, b)
    if near is not None:
        found |= _nearest(dict(enumerate(a)), _rest(b, found), near)
    if encoder is not None:
        found |= {j: Match(i, j, score, "alike") for i, j, score in alike(a, _rest(b, found), encoder)}
    return Overlap(len(a), len(b), tuple(found[j] for j in sorted(found)))


def duplicates(texts: Sequence[str], *, near: float | None = NEAR) -> list[tuple[int, int, float]]:
    """Return (earlier row, later row, score) for each row that an earlier one of the same list matches."""
    first: dict[str, int] = {}
    found: dict[int, tuple[int, int, float]] = {}
    for j, text in enumerate(texts):
        i = first.setdefault(normal(text), j)
        if i != j:
            found[j] = (i, j, 1.0)
    if near is not None:
        kept = {j: text for j, text in enumerate(texts) if j not in found}
        matches = _nearest(kept, kept, near, earlier=True)
        found |= {j: (match.a, j, match.score) for j, match in matches.items()}
    return [found[j] for j in sorted(found)]


def contamination(texts: Sequence[str], suites: Sequence[Suite]) -> dict[str, Overlap]:
    """Return what texts to train on share with each evaluation suite: its rows that are in ``texts``."""
    return {suite.name: overlap(texts, [prompt.text for prompt in suite.prompts]) for suite in suites}


def assert_no_contamination(texts: Sequence[str], suites: Sequence[Suite]) -> None:
    """Stop the training on texts that an evaluation suite has, exactly or nearly.

    Raises:
        GateFailedError: names the suites and the numbers of their rows.
    """
    found = {name: each for name, each in contamination(texts, suites).items() if each.matches}
    if found:
        named = "; ".join(f"{name}: {o.exact} exact, {o.near} near of {o.b}" for name, o in found.items())
        raise GateFailedError(
            f"The training texts hold rows of evaluation suites ({named}).",
            "Drop them with harmless.data.without_contamination, or leave the suite out of the evaluation.",
        )


def without_contamination(texts: Sequence[str], suites: Sequence[Suite]) -> list[int]:
    """Return the positions of the texts that no suite has, exactly or nearly."""
    held = [prompt.text for suite in suites for prompt in suite.prompts]
    bad = {match.b for match in overlap(held, texts).matches}
    return [i for i in range(len(texts)) if i not in bad]


def normal(text: str) -> str:
    """Return the words of a text in lower case (NFKC), a space between them; the text itself if it has none."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_WORDS.findall(folded)) or folded.strip()


def grams(text: str) -> frozenset[str]:
    """Return the character 5-grams of a normalised text."""
    plain = normal(text)
    return frozenset(plain[i : i + _GRAM] for i in range(max(len(plain) - _GRAM + 1, 1)))


def _rest(texts: Sequence[str], found: Mapping[int, Any]) -> dict[int, str]:
    return {j: text for j, text in enumerate(texts) if j not in found}


def _exact(a: Sequence[str], b: Sequence[str]) -> dict[int, Match]:
    first: dict[str, int] = {}
    for i, text in enumerate(a):
        first.setdefault(normal(text), i)
    places = ((first.get(normal(text)), j) for j, text in enumerate(b))
    return {j: Match(i, j, 1.0, "exact") for i, j in places if i is not None}


def _nearest(
    a: Mapping[int, str], b: Mapping[int, str], threshold: float, *, earlier: bool = False
) -> dict[int, Match]:
    """Return a near-duplicate in ``a`` for each key of ``b`` that has one; ``earlier``: at a smaller key."""
    if not a or not b:
        return {}
    lsh, known = _lsh(threshold), _sketches(a)
    asked = known if a is b else _sketches(b)
    lsh.insert_pairs(list(known.items()))
    found: dict[int, Match] = {}
    for j, candidates in zip(asked, lsh.query_all(list(asked.values())), strict=True):
        sketch = asked[j]
        estimated = [(sketch.jaccard(known[i]), i) for i in candidates if not earlier or i < j]
        likely = sorted((pair for pair in estimated if pair[0] >= threshold - _SLACK), reverse=True)
        ours = grams(b[j])
        for _, i in likely[:_VERIFIED]:
            score = jaccard(grams(a[i]), ours)
            if score >= threshold:
                found[j] = Match(i, j, score, "near")
                break
    return found


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Return the size of the intersection over that of the union, 1 for two empty sets."""
    shared = len(a & b)
    union = len(a) + len(b) - shared
    return shared / union if union else 1.0


def _lsh(threshold: float) -> Any:
    return _rensa().RMinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS, num_bands=_BANDS)


def _sketches(texts: Mapping[int, str]) -> dict[int, Any]:
    """Return the MinHash of each text; in batches, as the 5-grams of a list take a hundred times its space."""
    keys, sketches = list(texts), []
    for start in range(0, len(keys), _BATCH):
        tokens = [list(grams(texts[key])) for key in keys[start : start + _BATCH]]
        sketches += _rensa().RMinHash.from_token_sets(tokens, num_perm=_PERMUTATIONS, seed=_SEED)
    return dict(zip(keys, sketches, strict=True))


def _rensa() -> Any:
    try:
        import rensa
    except ImportError:
        raise MissingExtraError("Finding near-duplicates", "data") from None
    return rensa
