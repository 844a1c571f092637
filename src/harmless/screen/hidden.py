"""Characters that nobody sees, where no script or emoji needs them (Boucher et al. 2022)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_TAGS = r"\U000e0000-\U000e007f"
_FLAG = re.compile(rf"\U0001f3f4[{_TAGS}]+")
_BLANK = r"\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2064\u206a-\u206f\ufeff"
_INVISIBLE = re.compile(rf"[{_BLANK}{_TAGS}]")
_SELECTORS = re.compile(r"(?:[\ufe00-\ufe0f\U000e0100-\U000e01ef]){2,}")
_JOINER = re.compile(r"(?<=[\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?=[\x00-\x7f])")
_DIRECTION = re.compile(r"[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def hidden(text: str) -> list[str]:
    """Return the hidden characters of a text, each as often as it occurs.

    Not counted are a byte order mark at the beginning, tags of a flag, one selector behind a sign, joiners
    between letters that need them, and direction marks in text with letters that run from right to left.
    """
    bare = _FLAG.sub("", text.removeprefix("\ufeff"))
    found = [*_INVISIBLE.findall(bare), *_JOINER.findall(bare), *_CONTROL.findall(bare)]
    found += [character for run in _SELECTORS.findall(bare) for character in run]
    if not any(unicodedata.bidirectional(character) in ("R", "AL") for character in bare):
        found += _DIRECTION.findall(bare)
    return found


def named(characters: Iterable[str]) -> str:
    """Return the names of characters, each once, in order."""
    names = (f"U+{ord(each):04X} {unicodedata.name(each, 'control character')}" for each in characters)
    return ", ".join(dict.fromkeys(names))
