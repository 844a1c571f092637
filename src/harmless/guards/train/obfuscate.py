"""Disguise words as people do to get past filters; for training and for measuring, on words of any kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from harmless.guards.train.own import texts

Transform: TypeAlias = Callable[[str, np.random.Generator], str]


def leet(word: str, rng: np.random.Generator) -> str:
    """Write some letters as digits or signs that look alike."""
    return _some(word, _table("leet"), rng)


def homoglyphs(word: str, rng: np.random.Generator) -> str:
    """Write some letters as those of other alphabets that look alike."""
    return _some(word, _table("homoglyphs"), rng)


def sounds(word: str, rng: np.random.Generator) -> str:
    """Spell some letters as others that sound or look alike."""
    for old, new in _shuffled(list(_table("sounds").items()), rng):
        if old in word:
            return word.replace(old, _pick(new, rng), 1)
    return repeats(word, rng)


def spacing(word: str, rng: np.random.Generator) -> str:
    """Put a space between all letters."""
    return " ".join(word.replace(" ", ""))


def punctuated(word: str, rng: np.random.Generator) -> str:
    """Put a sign between all letters."""
    return _pick(".-_*/~|", rng).join(word.replace(" ", ""))


def split(word: str, rng: np.random.Generator) -> str:
    """Put one space or sign into the word."""
    at = int(rng.integers(1, max(len(word), 2)))
    return word[:at] + _pick(" -._* ", rng) + word[at:]


def repeats(word: str, rng: np.random.Generator) -> str:
    """Repeat one to all letters two to five times."""
    chosen = _places(word, rng)
    return "".join(c * int(rng.integers(2, 6)) if i in chosen else c for i, c in enumerate(word))


def zero_width(word: str, rng: np.random.Generator) -> str:
    """Put characters without width between letters."""
    chosen = _places(word, rng)
    return "".join(
        c + _pick("\u200b\u200c\u200d\u2060\u00ad\ufeff", rng) * (i in chosen) for i, c in enumerate(word)
    )


def masked(word: str, rng: np.random.Generator) -> str:
    """Replace one or more letters inside the word by a sign."""
    inside = list(range(1, max(len(word) - 1, 2)))
    vowels = [i for i in inside if i < len(word) and word[i] in "aeiou"]
    count = min(1 + int(rng.integers(2)), max(len(word) - 2, 1))
    chosen = set(vowels[:1] if rng.random() < 0.5 and vowels else _shuffled(inside, rng)[:count])
    sign = _pick("****#-_.@%", rng)
    return "".join(sign if i in chosen and c != " " else c for i, c in enumerate(word))


def vowels(word: str, rng: np.random.Generator) -> str:
    """Leave vowels out, all or the first one."""
    inner = [i for i, c in enumerate(word) if c in "aeiou" and i]
    if len(word) - len(inner) < 3 or rng.random() < 0.3:
        inner = inner[:1]
    return "".join(c for i, c in enumerate(word) if i not in inner)


def swaps(word: str, rng: np.random.Generator) -> str:
    """Swap two letters that differ, not the first where there are others."""
    places = [i for i in range(len(word) - 1) if word[i] != word[i + 1]]
    inner = [i for i in places if i > 0] or places
    if not inner:
        return word
    at = inner[int(rng.integers(len(inner)))]
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def affixes(word: str, rng: np.random.Generator) -> str:
    """Put digits or signs before or after the word."""
    ends = texts("profanity")["affixes"]
    before, after = _pick(ends, rng), _pick(ends, rng)
    return (before if rng.random() < 0.5 else "") + word + after


def marks(word: str, rng: np.random.Generator) -> str:
    """Put accents on letters."""
    chosen = _places(word, rng)
    return "".join(
        c + _pick("\u0301\u0308\u0336\u0332\u030c\u0323", rng) * (i in chosen) for i, c in enumerate(word)
    )


KINDS: Mapping[str, Transform] = {
    each.__name__: each
    for each in (
        *(leet, homoglyphs, sounds, spacing, punctuated, split, repeats),
        *(zero_width, masked, vowels, swaps, affixes, marks),
    )
}
"""The kinds of disguise by name."""


@cache
def _table(name: str) -> Mapping[str, str]:
    return dict(texts("profanity")[name])


def _some(word: str, table: Mapping[str, str], rng: np.random.Generator) -> str:
    share = rng.uniform(0.3, 1.0)
    places = [i for i, c in enumerate(word) if c in table]
    chosen = {i for i in places if rng.random() < share} or set(places[:1])
    return "".join(_pick(table[c], rng) if i in chosen else c for i, c in enumerate(word))


def _places(word: str, rng: np.random.Generator) -> set[int]:
    return set(_shuffled(list(range(len(word))), rng)[: 1 + int(rng.integers(len(word)))])


def _pick(options: str | list[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _shuffled(items: list[Any], rng: np.random.Generator) -> list[Any]:
    return [items[i] for i in rng.permutation(len(items))]
