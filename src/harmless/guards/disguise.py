"""Cut a text into pieces that may be a disguised word, and read each piece in several ways.

A piece is a run of visible characters, a run of single letters with spaces between (``k i l l``), or two or
three
short neighbours that may be one word (``ki ll``). Four readings of it are hashed into columns of their own,
so that a linear model can weigh what is written against what it sounds like:

- as written, every sign a blank (``k*ll``) and every gap a box;
- as heard: signs and digits read as letters, spelling variants and repetitions folded (``k1lll`` is ``kil``);
- its consonants (``kll``, ``k*ll`` and ``kill`` are alike);
- its letters in order of the alphabet between the first and the last (``kli l`` is ``kill``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from harmless.guards import normalise
from harmless.guards.features import Features, hashed
from harmless.guards.linear import LinearModel
from harmless.guards.normalise import View

BITS = 17
WRITTEN, HEARD, CONSONANTS, SORTED = 11, 12, 13, 14
BLANK, GAP = "\u25cc", "\u25a1"
"""Stand for a sign and for a gap; letters to the features, and in no word."""
LONGEST, SHORT, JOINED = 40, 5, 12

_RUN = re.compile(r"\S+")
_EDGE = " .,;:?!()[]{}\"'<>“”"
_LETTER = re.compile(r"[^\W\d_]")
_SIGN = re.compile(r"[^\w\s]|_")
_HOLE = re.compile(r"([^\W_]+)[*#%@$&?_.-]{1,2}([^\W_]+)")
_LEET = str.maketrans("0134567892@$€£¢!|+", "oieasgtbgzaselciit")
_SOUNDS = ((re.compile("ph"), "f"), (re.compile("ck|[cqk]"), "k"), (re.compile("vv"), "w"))
_SAME = str.maketrans("vzlj", "usij")
_REPEATED = re.compile(r"(.)\1+")
_VOWELS = re.compile("(?<=.)[aeiouy]+")


@dataclass(frozen=True)
class Piece:
    """A piece of the folded text and its (start, end) in the original."""

    text: str
    span: tuple[int, int]


def pieces(text: str) -> list[Piece]:
    """Return the pieces of a text, in order of place; longer than ``LONGEST`` characters none."""
    view = normalise.plain(text)
    runs = [_trimmed(view, *found.span()) for found in _RUN.finditer(view.text)]
    runs = [run for run in runs if run[0] < run[1]]
    spans = [run for run in runs if run[1] - run[0] <= LONGEST]
    spans += _spelled(view.text, runs)
    spans += _neighbours(view.text, runs)
    return [
        Piece(reading, view.span(start, end))
        for start, end in dict.fromkeys(spans)
        if _LETTER.search(view.text, start, end)
        for reading in (view.text[start:end], *filled(view.text[start:end]))
    ]


def filled(piece: str) -> list[str]:
    """Return a short word with one hole (``k*ll``) with each vowel in it, nothing if it is none."""
    found = _HOLE.fullmatch(piece)
    return [f"{found[1]}{vowel}{found[2]}" for vowel in "aeiou"] if found and len(piece) <= JOINED else []


def scores(model: LinearModel, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the linear score of every piece."""
    return model.scores(views([readings(text) for text in texts]))[:, 0] if len(texts) else np.zeros(0)


def views(read: Sequence[tuple[str, ...]]) -> list[Features]:
    """Return the four :func:`readings` of every piece, hashed."""
    salts = (WRITTEN, HEARD, CONSONANTS, SORTED)
    return [hashed([each[i] for each in read], BITS, salt) for i, salt in enumerate(salts)]


@lru_cache(maxsize=1 << 15)
def readings(piece: str) -> tuple[str, str, str, str]:
    """Return a folded piece as written, as heard, its consonants, and its letters sorted."""
    written = _SIGN.sub(BLANK, re.sub(r"\s+", GAP, piece))
    heard = "".join(_LETTER.findall(piece.translate(_LEET)))
    bare = _REPEATED.sub(r"\1", heard)
    for pattern, sound in _SOUNDS:
        bare = pattern.sub(sound, bare)
    bare = _REPEATED.sub(r"\1", bare.translate(_SAME))
    consonants = _VOWELS.sub("", heard)
    return written, bare, _REPEATED.sub(r"\1", consonants), bare[:1] + "".join(sorted(bare[1:-1])) + bare[-1:]


def _trimmed(view: View, start: int, end: int) -> tuple[int, int]:
    """Leave out the punctuation of the sentence at both ends."""
    while start < end and view.text[start] in _EDGE:
        start += 1
    while start < end and view.text[end - 1] in _EDGE:
        end -= 1
    return start, end


def _spelled(text: str, runs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans of three or more single characters in a row, each at most three spaces from the next."""
    found, first = [], 0
    for i in range(1, len(runs) + 1):
        joins = i < len(runs) and runs[i][1] - runs[i][0] == 1 and runs[i][0] - runs[i - 1][1] <= 3
        if joins and runs[i - 1][1] - runs[i - 1][0] == 1:
            continue
        if i - first >= 3:
            start, end = runs[first][0], runs[i - 1][1]
            words = re.split(r"\s{2,}", text[start:end])
            found += [(start, end)] if end - start <= 2 * LONGEST else []
            at = start
            for word in words if len(words) > 1 else []:
                at = text.index(word, at)
                found += [(at, at + len(word))] if len(word) >= 5 else []
        first = i
    return found


def _neighbours(text: str, runs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans of two or three short runs in a row, with nothing but space between, that may be one
    word."""
    found = []
    for i, (start, end) in enumerate(runs):
        if end - start > SHORT:
            continue
        for j in range(i + 1, min(i + 3, len(runs))):
            between = text[runs[j - 1][1] : runs[j][0]]
            if runs[j][1] - runs[j][0] > SHORT or runs[j][1] - start > JOINED or not between.isspace():
                break
            found.append((start, runs[j][1]))
    return found
