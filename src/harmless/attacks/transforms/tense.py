"""Requests as questions about another time (Andriushchenko and Flammarion 2024), here by rules."""

from __future__ import annotations

import functools
import re
from importlib import resources

import yaml


def past(text: str) -> str:
    """Ask how it was done in the past."""
    return _moved(text, "past")


def future(text: str) -> str:
    """Ask how it will be done in the future."""
    return _moved(text, "future")


def _moved(text: str, time: str) -> str:
    bare = text.strip().rstrip(".?!").rstrip()
    for pattern, replacement in _rules()[time]:
        if found := pattern.fullmatch(bare):
            return found.expand(replacement)
    return text


@functools.cache
def _rules() -> dict[str, list[tuple[re.Pattern[str], str]]]:
    text = resources.files(__package__).joinpath("tense.yaml").read_text(encoding="utf-8")
    return {
        time: [(re.compile(pattern, re.IGNORECASE | re.DOTALL), new) for pattern, new in rules]
        for time, rules in yaml.safe_load(text).items()
    }
