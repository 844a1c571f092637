"""Fold a text to what a reader sees, and undo disguises, with a way back to the original characters.

:func:`plain` is compatibility composition (NFKC, UAX #15), case folding, removal of what is invisible
(zero-width, bidirectional controls, variation selectors), of accents and stacked marks, and folding of
look-alikes to ASCII (UTS #39). :func:`loose` adds readings of disguised words: spaced-out or punctuated
letters, leetspeak, repeated letters. Every :class:`View` maps its characters back, so a match has a span in
the original text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from importlib import resources
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

MAX_MARKS = 8
"""Marks kept on one character; more are a picture, not writing."""

_L, _W = r"[^\W\d_]", r"[^\W_]"
_ASCII_RUN = re.compile(r"[\t-\r\x1c-~]+|[^\t-\r\x1c-~]+")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
_SPACED = re.compile(rf"(?<!{_W}){_W}(?=([\s._*~/|,-]))(?:\1(?: ?\1){{0,2}} ?{_W}(?!{_W})){{2,}}+")
_SEPARATOR = re.compile(r"[\s._*~/|,-]+")
_PUNCTUATED = re.compile(rf"(?<={_L})(?:[*_~^|]{{1,2}}|[.-](?:(?<!{_W}{_W}{_W}[.-])|(?!{_W}{_W}{_W})))(?={_L})")
_REPEATED = re.compile(rf"({_L})\1{{2,}}+")
_LEET_WORD = re.compile(r"(?<![\w@$€£¢|!+])(?=[\d@$€£¢|!+]*[^\W\d])[\w@$](?:[\w@$€£¢|!+]*[\w@$€£¢])?(?![\w@$])")
_DISGUISED = re.compile(
    rf"{_REPEATED.pattern}|[\d@$€£¢|!+*_~^.-]{_L}|{_L}[\d@$€£]|(?:(?<!{_W}){_W}[\s._*~/|,-]){{2}}"
)

_WORD, _LETTER, _SIGN, _SEPARATES, _ODD = 1, 2, 4, 8, 16
_SIGNS = "0123456789@$|!+*_~^.-"

_Edit = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class View:
    """A folded text and where each of its characters comes from.

    Character ``i`` stands for ``original[starts[i]:ends[i]]``; both never decrease, nor leave the original.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return (start, end) in the original text of the characters ``start`` to ``end`` of the view."""
        if start >= end:
            at = self.starts[start] if start < len(self.text) else (self.ends[-1] if self.text else 0)
            return at, at
        return self.starts[start], self.ends[end - 1]


def raw(text: str) -> View:
    """Return the text itself as a view."""
    return View(text, range(len(text)), range(1, len(text) + 1))


def plain(text: str) -> View:
    """Return the folded view of a text: lower case, visible characters only, look-alikes as ASCII.

    Folding twice changes nothing more. ASCII text costs one ``lower()``.
    """
    if text.isascii() and not _CONTROL.search(text):
        return View(text.lower(), range(len(text)), range(1, len(text) + 1))
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for run in _ASCII_RUN.finditer(text):
        if run[0].isascii() and not _CONTROL.match(run[0]):
            parts.append(run[0].lower())
            starts.extend(range(run.start(), run.end()))
            ends.extend(range(run.start() + 1, run.end() + 1))
            continue
        for start, end, cluster in _clusters(run[0], run.start()):
            folded = _settled(cluster)
            parts.append(folded)
            starts.extend([start] * len(folded))
            ends.extend([end] * len(folded))
    return View("".join(parts), starts, ends)


def loose(view: View) -> list[View]:
    """Return the other readings of a plain view, none if nothing in it is disguised.

    Spaced-out letters are joined (``k i l l``), punctuation inside words goes (``k.ill``), digits and signs
    inside words become letters (``k1ll``), letters repeated three times or more are cut to one or two. Where
    a sign, a repetition or a lone "a" before or after spaced-out letters can be read in two ways, there is a
    view for each: at most eight.
    """
    if not _DISGUISED.search(view.text):
        return []
    readings = [view]
    for steps in _STEPS:
        readings = [_edited(reading, edits(reading.text)) for reading in readings for edits in steps]
    found = {reading.text: reading for reading in readings}
    found.pop(view.text, None)
    return list(found.values())


def may_be_disguised(texts: Sequence[str]) -> list[bool]:
    """Return whether each text may have another reading than itself: all that have one, and a few others.

    For a batch of texts this costs a fraction of what :func:`plain` and :func:`loose` cost for each.
    """
    codes = np.frombuffer(("\0".join(texts) + "\0").encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _kinds()[np.minimum(codes, 0x80)]
    word, letter = kinds & _WORD > 0, kinds & _LETTER > 0
    sign, separator = kinds & _SIGN > 0, kinds & _SEPARATES > 0
    found = kinds & _ODD > 0
    # A letter three times, whatever its case.
    same = letter[1:] & ((codes[1:] | 0x20) == (codes[:-1] | 0x20))
    found[2:] |= same[1:] & same[:-1]
    found[1:] |= sign[1:] & letter[:-1] | sign[:-1] & letter[1:]
    # A lone letter or digit, twice, with a separator behind each.
    lone = word.copy()
    lone[1:] &= ~word[:-1]
    lone[:-1] &= separator[1:]
    found[2:] |= lone[2:] & lone[:-2]
    ends = np.flatnonzero(codes == 0)
    if len(ends) != len(texts):
        return [True] * len(texts)
    return list(np.logical_or.reduceat(found, np.concatenate(([0], ends[:-1] + 1))))


@cache
def _kinds() -> NDArray[np.uint8]:
    """Return what every ASCII character is, and that all others are odd."""
    kinds = np.zeros(0x81, np.uint8)
    kinds[0x80] = _ODD
    for code in range(1, 0x80):
        character = chr(code)
        kinds[code] = (
            _WORD * character.isalnum()
            | _LETTER * character.isalpha()
            | _SIGN * (character in _SIGNS)
            | _SEPARATES * bool(_SEPARATOR.match(character))
            | _ODD * bool(_CONTROL.match(character))
        )
    return kinds


def _joined(text: str, articles: bool) -> list[_Edit]:
    """Drop what stands between spaced-out letters; where it is wider than the narrowest, a word ends.

    With ``articles``, "a" and "i" at either end of the letters are left as words of their own.
    """
    edits: list[_Edit] = []
    for run in _SPACED.finditer(text):
        gaps = [m.span() for m in _SEPARATOR.finditer(text, *run.span())]
        if articles:
            gaps = gaps[run[0][0] in "ai" : len(gaps) - (run[0][-1] in "ai")]
        narrow = min((end - start for start, end in gaps), default=0)
        edits += [(start, end, " " if end - start > narrow else "") for start, end in gaps]
    return edits


def _whole(text: str) -> list[_Edit]:
    """Drop punctuation inside words."""
    return [(m.start(), m.end(), "") for m in _PUNCTUATED.finditer(text)]


def _leet(text: str, reading: int) -> list[_Edit]:
    """Read digits and signs in words that have a letter; ``reading`` is 0 for the first, -1 for the last."""
    table = _leet_table(reading)
    return [(m.start(), m.end(), m[0].translate(table)) for m in _LEET_WORD.finditer(text)]


def _cut(text: str, times: int) -> list[_Edit]:
    """Leave ``times`` of letters that are repeated three times or more."""
    return [(m.start(), m.end(), m[1] * times) for m in _REPEATED.finditer(text)]


_STEPS: tuple[tuple[Callable[[str], list[_Edit]], ...], ...] = (
    (partial(_joined, articles=False), partial(_joined, articles=True)),
    (_whole,),
    (partial(_leet, reading=0), partial(_leet, reading=-1)),
    (partial(_cut, times=1), partial(_cut, times=2)),
)
"""What is done to a disguised text, in this order; alternatives in a row give a view each."""


def _edited(view: View, edits: Iterable[_Edit]) -> View:
    """Return ``view`` with replacements; one of another length stands for all that it replaces."""
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for start, end, new in (*edits, (len(view.text), len(view.text), "")):
        parts += view.text[at:start], new
        starts += view.starts[at:start]
        ends += view.ends[at:start]
        if len(new) == end - start:
            starts += view.starts[start:end]
            ends += view.ends[start:end]
        else:
            starts += [view.starts[start]] * len(new)
            ends += [view.ends[end - 1]] * len(new)
        at = end
    return View("".join(parts), starts, ends) if at else view


def _clusters(run: str, offset: int) -> Iterable[tuple[int, int, str]]:
    """Yield (start, end, characters) of what composes to one character, without what is invisible."""
    start, end, cluster, marks = 0, 0, "", 0
    for at, character in enumerate(run, offset):
        if not _settled(character):
            continue
        joins, count = _marks(character)
        if joins and cluster:
            end, marks = at + 1, marks + count
            if marks <= MAX_MARKS:
                cluster += character
            continue
        if cluster:
            yield start, end, cluster
        start, end, cluster, marks = at, at + 1, character, count
    if cluster:
        yield start, end, cluster


@lru_cache(maxsize=1 << 14)
def _marks(character: str) -> tuple[bool, int]:
    """Return whether a character joins the one before it, and how many marks or jamo it ends with."""
    parts = unicodedata.normalize("NFKD", character)
    joining = [unicodedata.category(part)[0] == "M" or "\u1160" <= part <= "\u11ff" for part in parts]
    return joining[0], [*joining[::-1], False].index(False)


@lru_cache(maxsize=1 << 14)
def _settled(cluster: str) -> str:
    """Fold until nothing changes: composition, case and look-alikes each may enable the others."""
    table = _folding()
    while True:
        folded = unicodedata.normalize("NFKD", cluster.translate(table)).translate(table)
        folded = unicodedata.normalize("NFKC", folded.casefold())
        if folded == cluster:
            return folded
        cluster = folded


class _Folding(dict[int, str]):
    """The table of ``unicode.yaml``, filled in from Unicode's categories as characters are met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Nd":
            character = str(unicodedata.decimal(character))
        elif character.isspace():
            character = character if character.isascii() else " "
        elif category in ("Cf", "Cc", "Cs"):
            character = ""
        self[code] = character
        return character


@cache
def _data() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("unicode.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data


@cache
def _folding() -> _Folding:
    data, table = _data(), _Folding()
    for letter, alike in data["look_alikes"].items():
        table |= dict.fromkeys(map(ord, alike), letter)
    for first in data["alphabets"]:
        table |= {first + i: chr(ord("a") + i) for i in range(26)}
    table |= {data["tags"] + code: chr(code) for code in range(0x20, 0x7F)}
    for first, last in (*data["marks"], *data["blanks"]):
        table |= dict.fromkeys(range(first, last + 1), "")
    return table


@cache
def _leet_table(reading: int) -> dict[int, str]:
    return {ord(sign): letters[reading] for sign, letters in _data()["leet"].items()}
