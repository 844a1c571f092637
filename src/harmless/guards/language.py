"""``language(en, de, ...)``: texts in other languages than those given (extra ``language``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module, resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from harmless.core import Exchange, Finding, GuardInfo, Outcome, Verdict, digest
from harmless.core.model import Model
from harmless.errors import MissingExtraError, UsageError
from harmless.guards.filters import Filter, arguments, text_of

EXTRA = "language"
LATIN = 0x250
"""First character behind the Latin letters of European languages."""
MOST = 4000
"""Characters that are read; more do not change the language."""


class Varieties(Model):
    """What is known of the labels; ``language.yaml`` explains the fields."""

    none: tuple[str, ...]
    near: Mapping[str, tuple[str, ...]]


class Language(Filter):
    """Unsafe if a text is in a language that is not among the allowed ones.

    The score is the probability of the likeliest other language; a text in another script than the Latin one
    says more, and there it is the share of that language against the allowed ones. A text too short to tell is
    safe.

    Args:
        identifier: of py3langid, or anything whose ``rank(text)`` gives (code, probability).
        allowed: codes of ISO 639.
        model: name and version of the identifier; part of the revision.
    """

    def __init__(self, identifier: Any, allowed: Sequence[str], model: str = "") -> None:
        self._identifier, known = identifier, varieties()
        near = (code for each in allowed for code in known.near.get(each, ()))
        self._allowed, self._none = frozenset([*allowed, *near]), known.none
        super().__init__(
            GuardInfo(
                name=f"language({', '.join(allowed)})",
                revision=digest(model, known, sorted(self._allowed)),
                sees="both",
                licence="BSD-3-Clause",
                needs=(EXTRA,),
            )
        )

    def verdict(self, exchange: Exchange) -> Verdict:
        """Return which language the text is in, as labels too."""
        text = text_of(exchange)[:MOST]
        letters = [c for c in text if c.isalpha()]
        if not letters:
            return Verdict(outcome=Outcome.SAFE, score=0.0, reason="no letters")
        chances = {code: float(chance) for code, chance in self._identifier.rank(text)}
        if not chances or not all(0 <= chance <= 1 for chance in chances.values()):
            raise ValueError("the identifier gives no probabilities")
        ours = sum(chances.get(code, 0.0) for code in self._allowed)
        others = {
            code: c for code, c in chances.items() if code not in self._allowed and code not in self._none
        }
        best, chance = max(others.items(), key=lambda each: each[1], default=("", 0.0))
        foreign = sum(ord(c) >= LATIN for c in letters) > len(letters) / 2
        score = chance / (chance + ours) if foreign and chance else chance
        verdict = self.found(
            [Finding(rule=f"language {best}", score=score)] if score >= self._info.threshold else [],
            "no other language",
        )
        likely = dict(sorted(chances.items(), key=lambda each: -each[1])[:3])
        return verdict.model_copy(update={"score": min(1.0, score), "labels": likely})


def language(*codes: str) -> Language:
    """Return the guard that allows the languages given by codes of ISO 639, such as ``en``.

    Raises:
        MissingExtraError: py3langid is not installed.
        UsageError: no language is given, or one is unknown.
    """
    allowed, _ = arguments("language", codes, ())
    if not allowed:
        raise UsageError("Guard 'language' needs the languages that are allowed.", "Write language(en, de).")
    try:
        package: Any = import_module("py3langid.langid")
    except ImportError as error:
        raise MissingExtraError("Guard 'language'", EXTRA) from error
    path = Path(package.__file__).parent / package.MODEL_FILE
    identifier = package.LanguageIdentifier.from_modelpath(str(path), norm_probs=True)
    if unknown := [code for code in allowed if code not in identifier.labels]:
        known = ", ".join(sorted(set(identifier.labels)))
        raise UsageError(f"The language '{unknown[0]}' is not known.", f"Known: {known}.")
    return Language(identifier, allowed, f"py3langid {version('py3langid')}")


@cache
def varieties() -> Varieties:
    """Return what ``language.yaml`` says."""
    text = resources.files(__package__).joinpath("language.yaml").read_text(encoding="utf-8")
    return Varieties.model_validate(yaml.safe_load(text))
