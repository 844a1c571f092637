"""Ten ways to write a prompt otherwise while people still read the same; the same seed gives the same text."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from harmless.core import Exchange

Transform = Callable[[str, random.Random], str]

_WORD = re.compile(r"\w+")
_LONG = 4


def case(text: str, rng: random.Random) -> str:
    """Write each letter in upper or lower case by chance."""
    return "".join(rng.choice((c.upper(), c.lower())) for c in text)


def leet(text: str, rng: random.Random) -> str:
    """Write letters as digits that look alike, two thirds of those that can be."""
    table = _data()["leet"]
    return "".join(table[c.lower()] if c.lower() in table and rng.random() < 2 / 3 else c for c in text)


def spacing(text: str, rng: random.Random) -> str:
    """Put a space between the letters of words, and three between words."""
    return "   ".join(" ".join(word) for word in text.split())


def homoglyphs(text: str, rng: random.Random) -> str:
    """Write letters as those of other alphabets that look alike, half of those that can be."""
    table = _data()["homoglyphs"]
    return "".join(table[c] if c in table and rng.random() < 0.5 else c for c in text)


def zero_width(text: str, rng: random.Random) -> str:
    """Put characters without width behind a third of the letters."""
    signs = _data()["zero_width"]
    return "".join(c + rng.choice(signs) if c.isalnum() and rng.random() < 1 / 3 else c for c in text)


def typos(text: str, rng: random.Random) -> str:
    """Swap, drop or double a letter inside half of the words of four letters or more."""
    return _WORD.sub(lambda m: _typo(m[0], rng) if len(m[0]) >= _LONG and rng.random() < 0.5 else m[0], text)


def reversed_words(text: str, rng: random.Random) -> str:
    """Write the words in reverse order."""
    return " ".join(reversed(text.split()))


def polite(text: str, rng: random.Random) -> str:
    """Put polite words before it."""
    return str(rng.choice(_data()["polite"])) + text


def story(text: str, rng: random.Random) -> str:
    """Put it into the mouth of a character in a story."""
    return str(rng.choice(_data()["story"])).replace("{}", text)


def full_width(text: str, rng: random.Random) -> str:
    """Write ASCII characters in their full-width forms (U+FF01 to U+FF5E)."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


TRANSFORMS: Mapping[str, Transform] = {
    each.__name__: each
    for each in (case, leet, spacing, homoglyphs, zero_width, typos, reversed_words, polite, story, full_width)
}
"""The ten by name, in the order in which they are shown."""


def transformed(exchange: Exchange, name: str, seed: int = 0) -> Exchange:
    """Return the exchange with its last user message written otherwise."""
    at = max(i for i, message in enumerate(exchange.conversation) if message.role == "user")
    message = exchange.conversation[at]
    rng = random.Random(f"{seed}:{name}:{message.content}")
    changed = message.model_copy(update={"content": TRANSFORMS[name](message.content, rng)})
    turns = (*exchange.conversation[:at], changed, *exchange.conversation[at + 1 :])
    return exchange.model_copy(update={"conversation": turns})


def _typo(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word) - 2)
    kind = rng.randrange(3)
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + word[at + 1 :] if kind == 1 else word[: at + 1] + word[at:]


@cache
def _data() -> dict[str, Any]:
    text = (resources.files(__package__) / "transforms.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found
