"""Text in characters that are not seen, or that change how others are seen."""

from __future__ import annotations

import random
import re

_ZERO_WIDTH = "\u200b"
_OVERRIDE, _POP = "\u202e", "\u202c"
_TAGS = 0xE0000
_ASCII = range(0x20, 0x7F)
_ZERO, _ONE = "\u2062", "\u2064"
_SHORT_SELECTORS, _LONG_SELECTORS = 0xFE00, 0xE0100
_MARKS = range(0x0300, 0x0370)
_CARRIER = "\U0001f642"


def zero_width(text: str) -> str:
    """Put a space of no width between all characters."""
    return _ZERO_WIDTH.join(text)


def without_zero_width(text: str) -> str:
    """Take the spaces of no width out."""
    return text.replace(_ZERO_WIDTH, "")


def bidi(text: str) -> str:
    """Write backwards and tell the display to turn it round again (Boucher et al. 2022)."""
    return f"{_OVERRIDE}{text[::-1]}{_POP}"


def from_bidi(text: str) -> str:
    """Take the controls out and turn the text round."""
    return re.sub(f"[{_OVERRIDE}{_POP}]", "", text)[::-1]


def tags(text: str) -> str:
    """Write ASCII in tag characters, which no reader sees (ASCII smuggling); the rest stays."""
    return "".join(chr(_TAGS + ord(c)) if ord(c) in _ASCII else c for c in text)


def from_tags(text: str) -> str:
    """Read tag characters."""
    return "".join(chr(ord(c) - _TAGS) if ord(c) - _TAGS in _ASCII else c for c in text)


def variation_selectors(text: str) -> str:
    """Hang one variation selector a byte on an emoji; all 256 exist (Butler 2025)."""
    codes = (_SHORT_SELECTORS + byte if byte < 16 else _LONG_SELECTORS + byte - 16 for byte in text.encode())
    return _CARRIER + "".join(map(chr, codes))


def from_variation_selectors(text: str) -> str:
    """Read the bytes that hang on an emoji."""
    codes = [ord(c) for c in text]
    short = ((code - _SHORT_SELECTORS, 16, 0) for code in codes)
    long = ((code - _LONG_SELECTORS, 240, 16) for code in codes)
    pairs = zip(short, long, strict=True)
    return bytes(code + offset for pair in pairs for code, size, offset in pair if 0 <= code < size).decode()


def sneaky_bits(text: str) -> str:
    """Write each bit as one of two invisible operators (Rehberger 2025)."""
    return "".join(_ONE if bit == "1" else _ZERO for byte in text.encode() for bit in f"{byte:08b}")


def from_sneaky_bits(text: str) -> str:
    """Read the bits."""
    bits = "".join("1" if c == _ONE else "0" for c in text if c in (_ZERO, _ONE))
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).decode()


def zalgo(text: str, rng: random.Random, marks: str = "3") -> str:
    """Stack up to so many marks on every letter."""
    most = int(marks)
    if most < 1:
        raise ValueError("marks have to be at least 1")
    return "".join(c + _stack(rng, rng.randint(1, most)) if c.isalpha() else c for c in text)


def accents(text: str, rng: random.Random) -> str:
    """Put one mark on every letter."""
    return zalgo(text, rng, "1")


def without_marks(text: str, marks: str = "") -> str:
    """Take the marks off."""
    return "".join(c for c in text if ord(c) not in _MARKS)


def _stack(rng: random.Random, height: int) -> str:
    return "".join(chr(rng.choice(_MARKS)) for _ in range(height))
