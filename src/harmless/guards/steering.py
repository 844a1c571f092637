"""Texts that try to steer whoever rates them: make their delimiters harmless, and notice that they try.

Delimiters with a random key per call are spotlighting (Hines et al. 2024); proving on a control that a judge
is not steered follows known-answer detection (Liu et al. 2024, Formalizing and Benchmarking Prompt Injection).
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any

import yaml

from harmless.guards import normalise

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")


def neutral(text: str) -> str:
    """Return the text with what looks like delimiters or chat templates replaced, character by character."""
    table = _data()["lookalikes"]
    return _delimiters().sub(lambda match: "".join(table[character] for character in match[0]), text)


def steers(text: str) -> bool:
    """Return whether a text speaks to whoever rates it; wide on purpose, it also fits many harmless texts."""
    folded = normalise.plain(text)
    readings = [folded, *normalise.loose(folded)]
    return any(pattern.search(view.text) for view in readings for pattern in _patterns())


def steering_part(text: str) -> str:
    """Return the sentences of a text that speak to whoever rates it; the whole text if none does by itself."""
    found = [sentence for sentence in _SENTENCE.findall(text) if steers(sentence)]
    return " ".join(sentence.strip() for sentence in found) or text


@cache
def _data() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("steering.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data


@cache
def _delimiters() -> re.Pattern[str]:
    return re.compile(_data()["delimiters"], re.IGNORECASE)


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.DOTALL) for pattern in _data()["patterns"])
