"""Requests in parts that the reader has to put together, and words that are drawn."""

from __future__ import annotations

import functools
import json
import re
from importlib import resources
from typing import Any

import yaml

_PIECE = re.compile(r"\w+\W*|\W+")
_NAMES = "abcdefghijklmnopqrstuvwxyz"


def split_payload(text: str, parts: str = "4") -> str:
    """Set the text into variables that are to be joined (Kang et al. 2023)."""
    if not parts.isdecimal() or not 1 <= int(parts) <= len(_NAMES):
        raise ValueError(f"parts is '{parts}', not a whole number from 1 to {len(_NAMES)}")
    pieces = _pieces(text, int(parts))
    named = dict(zip(_NAMES, pieces, strict=False))
    lines = "\n".join(f"{name} = {json.dumps(piece, ensure_ascii=False)}" for name, piece in named.items())
    return str(_words()["split"]).replace("{sum}", " + ".join(named)).replace("{lines}", lines)


def joined_payload(text: str, parts: str = "4") -> str:
    """Join the variables."""
    found = re.findall(r'^[a-z] = (".*")$', text, re.MULTILINE)
    if not found:
        raise ValueError("no variables")
    return "".join(json.loads(piece) for piece in found)


def word_list(text: str) -> str:
    """Number the words, one a line."""
    lines = "\n".join(f"{i}. {word}" for i, word in enumerate(text.split(" "), 1))
    return str(_words()["list"]).replace("{lines}", lines)


def from_word_list(text: str) -> str:
    """Read numbered words."""
    before, after = str(_words()["list"]).split("{lines}")
    if not (text.startswith(before) and text.endswith(after)):
        raise ValueError("not a list of words")
    lines = text[len(before) : len(text) - len(after)]
    # The numbers tell a line's beginning from a line break inside a word.
    found, number = [], 1
    for line in lines.split("\n"):
        if line.startswith(f"{number}. "):
            found.append(line.partition(". ")[2])
            number += 1
        else:
            found[-1] += f"\n{line}"
    return " ".join(found)


def ascii_art(text: str) -> str:
    """Draw the longest word and leave a gap in its place (ArtPrompt, Jiang et al. 2024)."""
    words = re.findall(r"[A-Za-z]+", text)
    if not words:
        return text
    longest = max(words, key=len)
    rows = [" ".join(_font()[letter][row] for letter in longest.lower()) for row in range(5)]
    drawing = "\n".join(row.rstrip() for row in rows)
    masked = text.replace(longest, "[WORD]", 1)
    return str(_words()["art"]).replace("{drawing}", drawing).replace("{text}", masked)


def _pieces(text: str, parts: int) -> list[str]:
    """Cut a text into so many parts of about the same number of words, within words where there are too few."""
    found = _PIECE.findall(text)
    if len(found) < parts:
        found = list(text)
    size = -(-len(found) // parts) or 1
    return ["".join(found[at : at + size]) for at in range(0, len(found), size)]


@functools.cache
def _words() -> dict[str, Any]:
    return dict(yaml.safe_load(resources.files(__package__).joinpath("words.yaml").read_text(encoding="utf-8")))


@functools.cache
def _font() -> dict[str, list[str]]:
    return dict(yaml.safe_load(resources.files(__package__).joinpath("font.yaml").read_text(encoding="utf-8")))
