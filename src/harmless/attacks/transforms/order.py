"""Letters and words in another order, with gaps between them, or left out."""

from __future__ import annotations

import random
import re

_WORD = re.compile(r"[^\W\d_]+")
_SIGNS = "-.*_~|"


def reverse(text: str) -> str:
    """Write the last character first; its own inverse."""
    return text[::-1]


def reverse_words(text: str) -> str:
    """Write the last word first; its own inverse."""
    return " ".join(reversed(text.split(" ")))


def reverse_each_word(text: str) -> str:
    """Write every word backwards where it stands; its own inverse."""
    return " ".join(word[::-1] for word in text.split(" "))


def space_out(text: str) -> str:
    """Put a space after every character but the last."""
    return " ".join(text)


def close_up(text: str) -> str:
    """Take every second character out."""
    return text[::2]


def hyphenate(text: str) -> str:
    """Put hyphens between the characters."""
    return "-".join(text)


def odd_then_even(text: str) -> str:
    """Write the first, third, fifth ... character, then the others."""
    return text[::2] + text[1::2]


def interleave(text: str) -> str:
    """Put the characters of both halves back in turns."""
    half = (len(text) + 1) // 2
    pairs = zip(text[:half], [*text[half:], ""], strict=False)
    return "".join(a + b for a, b in pairs)


def punctuate(text: str, rng: random.Random) -> str:
    """Put a sign into the middle of every word of three letters or more."""
    return _WORD.sub(lambda word: _cut(word[0], rng), text)


def capitals(text: str, rng: random.Random) -> str:
    """Make each letter large or small at random."""
    return "".join(rng.choice((c.upper(), c.lower())) for c in text)


def alternate_capitals(text: str) -> str:
    """Make every second character large, the others small."""
    return "".join(c.upper() if i % 2 else c.lower() for i, c in enumerate(text))


def swap_letters(text: str, rng: random.Random) -> str:
    """Swap two neighbours inside each word of four letters or more."""
    return _WORD.sub(lambda word: _swapped(word[0], rng), text)


def scramble(text: str, rng: random.Random) -> str:
    """Shuffle the middle of each word of four letters or more."""
    return _WORD.sub(lambda word: _scrambled(word[0], rng), text)


def drop_letters(text: str, rng: random.Random) -> str:
    """Leave one letter out of the middle of each word of four letters or more."""
    return _WORD.sub(lambda word: _dropped(word[0], rng), text)


def double_letters(text: str, rng: random.Random) -> str:
    """Write one letter of each word three times."""
    return _WORD.sub(lambda word: _tripled(word[0], rng), text)


def drop_vowels(text: str) -> str:
    """Leave the vowels out, but for a word's first letter."""
    return re.sub(r"(?<=[^\W\d_])[aeiou]", "", text, flags=re.IGNORECASE)


def pig_latin(text: str) -> str:
    """Move the consonants that begin a word to its end, and add "ay"."""
    return _WORD.sub(lambda word: _pig(word[0]), text)


def first_letters(text: str) -> str:
    """Keep the first letter of every word."""
    return " ".join(word[0] for word in text.split()) or text


def _cut(word: str, rng: random.Random) -> str:
    if len(word) < 3:
        return word
    at = rng.randrange(1, len(word))
    return word[:at] + rng.choice(_SIGNS) + word[at:]


def _swapped(word: str, rng: random.Random) -> str:
    if len(word) < 4:
        return word
    at = rng.randrange(1, len(word) - 2)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _scrambled(word: str, rng: random.Random) -> str:
    if len(word) < 4:
        return word
    middle = list(word[1:-1])
    rng.shuffle(middle)
    return word[0] + "".join(middle) + word[-1]


def _dropped(word: str, rng: random.Random) -> str:
    if len(word) < 4:
        return word
    at = rng.randrange(1, len(word) - 1)
    return word[:at] + word[at + 1 :]


def _tripled(word: str, rng: random.Random) -> str:
    at = rng.randrange(len(word))
    return word[:at] + word[at] * 3 + word[at + 1 :]


def _pig(word: str) -> str:
    start = re.match(r"(?:qu|[^aeiou])*", word, re.IGNORECASE)
    begin = start[0] if start else ""
    return word + "way" if begin in ("", word) else word[len(begin) :] + begin + "ay"
