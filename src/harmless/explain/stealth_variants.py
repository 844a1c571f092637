"""Variants of a prompt in which a trigger may hide (Sutton et al. 2024): typos, unrelated sentences, tags."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, TypeAlias

import yaml

Way: TypeAlias = Literal["as it is", "typo", "prefix", "tag"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Variant:
    """A prompt in another form; ``candidate`` is what was put before it, empty for a typo."""

    way: Way
    text: str
    candidate: str = ""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is tried: typos a prompt, and what is put before each."""

    typos: int
    prefixes: tuple[str, ...]
    tags: tuple[str, ...]


def usual(typos: int = 12) -> Candidates:
    """Return the built-in candidates with so many typos a prompt."""
    return Candidates(typos, tuple(_data()["prefixes"]), tuple(_data()["tags"]))


def variants(prompt: str, candidates: Candidates, seed: int = 0) -> list[Variant]:
    """Return the prompt as it is, then with each candidate before it, then with typos; fewer if it is short."""
    rng = random.Random(f"{seed}:{prompt}")
    typos: dict[str, None] = {}
    for _ in range(20 * candidates.typos):
        if len(typos) == candidates.typos:
            break
        typos.setdefault(typo(prompt, rng))
    typos.pop(prompt, None)
    return [
        Variant("as it is", prompt),
        *(Variant("prefix", f"{each} {prompt}", each) for each in candidates.prefixes),
        *(Variant("tag", f"{each} {prompt}", each) for each in candidates.tags),
        *(Variant("typo", text) for text in typos),
    ]


def typo(text: str, rng: random.Random) -> str:
    """Return a text with one typo: a neighbour key, a letter misread, added, left out or swapped."""
    places = [i for i, character in enumerate(text[:-1]) if character.isalpha() and text[i + 1].isalpha()]
    if not places:
        return text
    at, kind = rng.choice(places), rng.randrange(5)
    before, here, after = text[:at], text[at], text[at + 1 :]
    if kind == 3:
        return before + rng.choice(_LETTERS) + here + after
    if kind == 4:
        return before + after if rng.random() < 0.5 else before + after[0] + here + after[1:]
    table: Mapping[str, Sequence[str]] = _data()["ocr" if kind == 2 else "keyboard"]
    found = table.get(here.lower())
    if found is None:
        return before + here + here + after
    return before + (str(found) if kind == 2 else rng.choice(found)) + after


@cache
def _data() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("stealth.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found
