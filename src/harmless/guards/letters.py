"""How likely rows of letters are in ordinary text: three letters at a time, Latin script."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

LETTERS = 27
"""The space, which stands for all that is no Latin letter, and a to z."""
STEP = 1 / 16
"""Bits of one step of the stored table, whose entries are bytes."""
SMOOTHING = 20.0
"""Times that a row of fewer letters counts in a longer one (Dirichlet prior)."""
_TABLE = 0x2000
"""Characters that may be Latin letters: those below."""
_PLAIN = {"ß": "s", "æ": "e", "œ": "e", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "þ": "t", "ð": "d", "ŋ": "n"}

Bits: TypeAlias = NDArray[np.float32]
Counts: TypeAlias = NDArray[np.float64]


def places(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the letters of a text as numbers from 0 (a run of other characters) to 26, and where they stand.

    A space is put before the first and behind the last.
    """
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
    found = _table()[np.minimum(points, _TABLE - 1)]
    kept = np.flatnonzero((found > 0) | (np.roll(found, 1) > 0) & (np.arange(len(found)) > 0))
    numbers = np.concatenate([[0], found[kept], [0]])
    return numbers, np.concatenate([[0], kept, [len(text)]])


def bits(text: str, table: Bits) -> tuple[Bits, NDArray[np.int64]]:
    """Return how many bits each letter of a text is worth behind the two before it, and where it stands."""
    numbers, where = places(text)
    return table[numbers[:-2], numbers[1:-1], numbers[2:]], where[2:]


def latin(text: str) -> int:
    """Return the number of Latin letters in a text."""
    return int(np.count_nonzero(places(text)[0]))


def fit(texts: Iterable[str], weight: float = 1.0, counts: Counts | None = None) -> Counts:
    """Return how often three letters follow one another, (27, 27, 27), added to ``counts``."""
    found = np.zeros((LETTERS,) * 3) if counts is None else counts
    for text in texts:
        numbers, _ = places(text)
        np.add.at(found, (numbers[:-2], numbers[1:-1], numbers[2:]), weight)
    return found


def surprise(counts: Counts) -> NDArray[np.uint8]:
    """Return the table of -log2 P(letter | two before) in steps, smoothed by rows of two letters and of one."""
    two, one = counts.sum(0), counts.sum((0, 1))
    single = (one + 1) / (one + 1).sum()
    double = (two + SMOOTHING * single) / (two.sum(1, keepdims=True) + SMOOTHING)
    triple = (counts + SMOOTHING * double) / (counts.sum(2, keepdims=True) + SMOOTHING)
    steps: NDArray[np.uint8] = np.minimum(np.round(-np.log2(triple) / STEP), 255).astype(np.uint8)
    return steps


@cache
def shipped() -> Bits:
    """Return the table that the package brings, in bits."""
    with resources.files(__package__).joinpath("artefacts/letters.npz").open("rb") as file:
        stored: NDArray[np.uint8] = np.load(file)["surprise"]
    return stored.astype(np.float32) * np.float32(STEP)


@cache
def _table() -> NDArray[np.int64]:
    """Return the number of each character, 0 for those that are no Latin letters."""
    numbers = np.zeros(_TABLE, np.int64)
    for point in range(_TABLE):
        lower = chr(point).lower()[:1]
        base = unicodedata.normalize("NFKD", _PLAIN.get(lower, lower))[:1]
        if "a" <= base <= "z":
            numbers[point] = ord(base) - ord("a") + 1
    return numbers
