"""Texts in other languages, with a stand-in for the identifier; tests/integrations runs the real one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType

import anyio
import pytest

from harmless.core import Exchange, Outcome, Verdict
from harmless.errors import MissingExtraError, UsageError
from harmless.guards import load
from harmless.guards.language import MOST, Language, varieties


class Identifier:
    """Gives the same probabilities for every text, and keeps what it is asked."""

    def __init__(self, chances: Mapping[str, float]) -> None:
        self._chances, self.asked = chances, list[str]()

    def rank(self, text: str) -> list[tuple[str, float]]:
        self.asked.append(text)
        if "poison" in text:
            raise RuntimeError("poisoned")
        return list(self._chances.items())


def judge(chances: Mapping[str, float], text: str, *allowed: str) -> Verdict:
    return anyio.run(Language(Identifier(chances), allowed or ["en"]).judge, [Exchange.of(text)])[0]


def test_the_likeliest_language_that_is_not_allowed_is_the_score() -> None:
    verdict = judge({"de": 0.9, "en": 0.1}, "Guten Morgen")
    assert (verdict.outcome, verdict.score) == (Outcome.UNSAFE, 0.9)
    assert [finding.rule for finding in verdict.findings] == ["language de"]
    assert verdict.labels == {"de": 0.9, "en": 0.1}
    assert judge({"de": 0.9, "en": 0.1}, "Guten Morgen", "en", "de").outcome is Outcome.SAFE


def test_a_text_too_short_to_tell_is_safe() -> None:
    verdict = judge({"uz": 0.04, "sr": 0.03, "en": 0.01}, "ok")
    assert (verdict.outcome, verdict.findings, verdict.reason) == (Outcome.SAFE, (), "no other language")


def test_in_another_script_the_share_counts() -> None:
    chances = {"ru": 0.4, "bg": 0.1, "en": 0.001}
    assert judge(chances, "Это тест").outcome is Outcome.UNSAFE
    assert judge(chances, "Это тест", "ru").outcome is Outcome.SAFE
    assert judge(chances, "a test").outcome is Outcome.SAFE


@pytest.mark.parametrize("text", ["", "12345 + 6", "🙂🙂", "\x00"])
def test_without_letters_there_is_no_language(text: str) -> None:
    assert judge({"de": 0.9}, text).reason == "no letters"


def test_near_varieties_come_with_a_language_and_what_is_none_never_counts() -> None:
    assert judge({"yue": 0.7, "zh": 0.2}, "你好", "zh").outcome is Outcome.SAFE
    assert judge({"zxx": 0.9, "en": 0.1}, "x = y").outcome is Outcome.SAFE


@pytest.mark.parametrize("chances", [{}, {"de": -40.0}, {"de": float("nan")}, {"de": 2.0}])
def test_what_is_no_probability_is_unassessed(chances: dict[str, float]) -> None:
    assert judge(chances, "Guten Morgen").outcome is Outcome.UNASSESSED


def test_an_item_that_fails_costs_only_itself_and_long_texts_are_cut() -> None:
    identifier = Identifier({"en": 1.0})
    guard = Language(identifier, ["en"])
    verdicts = anyio.run(guard.judge, [Exchange.of("poison"), Exchange.of("x", "a" * 3 * MOST)])
    assert [verdict.outcome for verdict in verdicts] == [Outcome.UNASSESSED, Outcome.SAFE]
    assert identifier.asked == ["poison", "a" * MOST]


def test_the_identifier_is_made_to_give_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    class Package(ModuleType):
        __file__ = "/packages/py3langid/langid.py"
        MODEL_FILE = "data/model"

        class LanguageIdentifier(Identifier):
            labels = ("de", "en")

            @classmethod
            def from_modelpath(cls, path: str, norm_probs: bool) -> Identifier:
                made.append((path, norm_probs))
                return cls({"de": 0.9, "en": 0.1})

    monkeypatch.setitem(sys.modules, "py3langid", ModuleType("py3langid"))
    monkeypatch.setitem(sys.modules, "py3langid.langid", Package("py3langid.langid"))
    monkeypatch.setattr("harmless.guards.language.version", lambda name: "1")
    guard = load("language(en)")
    assert made == [("/packages/py3langid/data/model", True)]
    assert anyio.run(guard.judge, [Exchange.of("Guten Morgen")])[0].outcome is Outcome.UNSAFE
    with pytest.raises(UsageError, match="Known: de, en"):
        load("language(english)")


def test_codes_of_the_data_are_strings_and_no_language_is_near_to_itself() -> None:
    for code, near in varieties().near.items():
        assert code not in near
        assert all(isinstance(each, str) for each in near)


def test_without_languages_or_without_the_package_the_next_step_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UsageError, match=r"language\(en, de\)"):
        load("language")
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(MissingExtraError, match=r"harmless\[language\]"):
        load("language(en)")
