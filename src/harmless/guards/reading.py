"""The ways in which a prompt is read: as it is written, without its disguises, and each part by itself.

A request may stand in a story, a letter or a list, and what is around it dilutes it. So a prompt of several
sentences has the score of its worst part where that is clearly worse than the whole: a part is read without its
context, which may make it harmless, and is doubted for it. The doubts were chosen on rows set aside from
training (design/guards.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harmless.guards.normalise import loose, may_be_disguised, plain

QUOTED, SENTENCE = 1.0, 2.0
"""Log-odds taken off the score of what is quoted, and of a sentence."""
MOST, WORDS = 16, 4
"""Parts of a text that are read at most, half of them from its end; words that a part has at least."""

_OPEN, _CLOSE = '“"„«「『', '”"“»」』'
_STOP = rf"[.!?][{_CLOSE}’')\]]*\s"
_END = re.compile(rf"""(?<=[.!?])[{_CLOSE}’')\]]*\s+|\n+|(?<=:)\s+(?=[{_OPEN}‘'])|(?<=[。！？])""")
_QUOTE = re.compile(rf"[{_OPEN}]([^{_OPEN}{_CLOSE}]{{12,400}})[{_CLOSE}]")
_SEVERAL = re.compile(rf"{_STOP}|\n|[{_OPEN}。！？]")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Readings:
    """Every reading of some texts, those of a text together.

    ``starts`` says where those of each text begin: the first is the text itself. ``doubts`` is taken off the
    log-odds of each.
    """

    texts: list[str]
    starts: NDArray[np.intp]
    doubts: NDArray[np.float64]

    def worst(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the highest log-odds of harm among the readings of each text."""
        return np.maximum.reduceat(scores - self.doubts, self.starts) if len(self.starts) else scores


def readings(texts: Sequence[str]) -> Readings:
    """Return every text with the other ways to read it behind it.

    A plain sentence has one reading, itself. Look-alikes, what is invisible, spaced-out letters and leetspeak
    are undone in others, at most nine; parts are read as they are written.
    """
    found: list[str] = []
    doubts: list[float] = []
    starts = np.zeros(len(texts), np.intp)
    for i, (text, suspicious) in enumerate(zip(texts, may_be_disguised(texts), strict=True)):
        starts[i] = len(found)
        every = [text, *(_undisguised(text) if suspicious else ())]
        found += every
        doubts += [0.0] * len(every)
        if _SEVERAL.search(text.strip()):
            for part, doubt in parts(text):
                found.append(part)
                doubts.append(doubt)
    return Readings(found, starts, np.array(doubts))


def parts(text: str) -> Iterator[tuple[str, float]]:
    """Yield the quotations and sentences of a text with the doubt of each; none if it is a single sentence."""
    quoted = {match[1].strip(): QUOTED for match in _QUOTE.finditer(text)}
    sentences = {part.strip(): SENTENCE for part in _END.split(text)}
    whole = text.strip()
    found = [
        (part, doubt)
        for part, doubt in (sentences | quoted).items()
        if part != whole and sum(1 for _ in _WORD.finditer(part)) >= WORDS
    ]
    yield from found if len(found) <= MOST else [*found[: MOST // 2], *found[-MOST // 2 :]]


def _undisguised(text: str) -> list[str]:
    view = plain(text)
    others = dict.fromkeys(other.text for other in loose(view))
    folded = [] if text.isascii() else [view.text]
    return [other for other in (*folded, *others) if other != text]
