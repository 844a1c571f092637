"""Classical ciphers; what is not a letter stays as it is."""

from __future__ import annotations

from itertools import cycle

_SMALL = "abcdefghijklmnopqrstuvwxyz"
_FIRST, _SIGNS = 33, 94


def caesar(text: str, places: str = "3") -> str:
    """Move every letter by so many places."""
    return "".join(_moved(c, _number("places", places)) for c in text)


def from_caesar(text: str, places: str = "3") -> str:
    """Move every letter back."""
    return "".join(_moved(c, -_number("places", places)) for c in text)


def rot13(text: str) -> str:
    """Move every letter by 13 places; its own inverse."""
    return caesar(text, "13")


def rot47(text: str) -> str:
    """Move every visible ASCII character by 47 places; its own inverse."""
    codes = (ord(c) - _FIRST for c in text)
    return "".join(
        chr((code + 47) % _SIGNS + _FIRST) if 0 <= code < _SIGNS else chr(code + _FIRST) for code in codes
    )


def atbash(text: str) -> str:
    """Write the last letter for the first; its own inverse."""
    return text.translate(str.maketrans(_SMALL + _SMALL.upper(), _SMALL[::-1] + _SMALL[::-1].upper()))


def vigenere(text: str, key: str = "lemon") -> str:
    """Move every letter by the next letter of the key."""
    return _keyed(text, key, 1)


def from_vigenere(text: str, key: str = "lemon") -> str:
    """Move every letter back by the next letter of the key."""
    return _keyed(text, key, -1)


def rail_fence(text: str, rails: str = "3") -> str:
    """Write the characters up and down over so many lines, and read line by line."""
    return "".join(text[place] for place in _fence(len(text), _number("rails", rails)))


def from_rail_fence(text: str, rails: str = "3") -> str:
    """Put the characters back to where they were."""
    places = _fence(len(text), _number("rails", rails))
    return "".join(text[at] for at in sorted(range(len(text)), key=places.__getitem__))


def _moved(letter: str, places: int) -> str:
    if not (letter.isascii() and letter.isalpha()):
        return letter
    first = ord("a" if letter.islower() else "A")
    return chr((ord(letter) - first + places) % 26 + first)


def _keyed(text: str, key: str, sign: int) -> str:
    if not (key.isascii() and key.isalpha()):
        raise ValueError(f"the key '{key}' is not of letters")
    keys = cycle(_SMALL.index(c) for c in key.lower())
    return "".join(_moved(c, sign * next(keys)) if c.isascii() and c.isalpha() else c for c in text)


def _fence(length: int, rails: int) -> list[int]:
    """Return the places of the characters in the order in which they are read."""
    period = max(2 * rails - 2, 1)
    return sorted(range(length), key=lambda i: (min(i % period, period - i % period), i))


def _number(name: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"{name} is '{value}', not a whole number above 0")
    return int(value)
