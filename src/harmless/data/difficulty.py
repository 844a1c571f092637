"""How difficult a pair of twins is: how likely the bundled model gets each side wrong.

``builtin/difficulty.json`` is measured by ``bench/difficulty.py``. Each side is asked several times. The
difficulty of the harmful side is the mean of the judge's risk of the replies, that of the benign side the
mean probability that the reply refuses, that of the pair the mean of both: means of probabilities, since a
share of so few replies would be coarse. It says how one small model fares, not how harmful a request is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from harmless.core import digest
from harmless.core.model import Model

FILE = Path(__file__).parent / "builtin" / "difficulty.json"


class Difficulty(Model):
    """How likely each side goes wrong, 0 to 1; ``assessed`` counts the replies to the harmful and benign side.

    ``text`` is the digest of the pair that was asked.
    """

    text: str
    harmful: float = Field(ge=0, le=1)
    benign: float = Field(ge=0, le=1)
    assessed: tuple[int, int]

    @property
    def pair(self) -> float:
        """Mean of both sides; about 0.5 is what a model gets that refuses everything, or nothing."""
        return (self.harmful + self.benign) / 2


class Difficulties(Model):
    """The difficulties of pairs by id, and how they were measured.

    ``model`` has name and revision, ``judges`` the revision of the guard in each role, ``samples`` how was
    decoded and how many times, ``date`` when (ISO 8601).
    """

    model: Mapping[str, str]
    judges: Mapping[str, str]
    samples: tuple[Mapping[str, float], ...]
    date: str
    pairs: Mapping[str, Difficulty]


@cache
def difficulties() -> Difficulties:
    """Return what was measured of the built-in twins."""
    return Difficulties.model_validate(json.loads(FILE.read_text(encoding="utf-8")))


def text_digest(pair: Mapping[str, Any]) -> str:
    """Return the digest of both sides of a pair; one that differs was measured before the pair was changed."""
    return digest(pair["harmful"], pair["benign"], length=8)
