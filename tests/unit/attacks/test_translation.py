"""The objective is translated by the attacker's model and asked in that language."""

from __future__ import annotations

from harmless.attacks import load
from harmless.attacks.writing import wording
from harmless.core import Conversation
from tests.unit.attacks.sessions import FakeSession, run


def translates(conversation: Conversation) -> str:
    text = conversation[-1].content
    return "REFUSE" if "Thai" in text else f"<prompt>{text.partition(': ')[2][::-1]}</prompt>"


def test_the_target_is_asked_the_translation_and_to_answer_in_english() -> None:
    session = run(load("translation(Zulu)"), FakeSession(writer=translates))
    assert session.prompts == ["xob dlo eht nepo\n\nAnswer in English."]
    assert session.notes == ["Zulu"]


def test_a_language_that_the_model_does_not_translate_into_is_left_out() -> None:
    session = run(load("translation(Thai, Hmong)"), FakeSession(writer=translates))
    assert session.notes == ["Hmong"]
    assert len(session.written) == 2


def test_without_a_name_all_languages_are_tried() -> None:
    attack = load("translation")
    session = run(attack, FakeSession(writer=lambda _: "<prompt>x</prompt>"))
    assert session.notes == wording("translation")["languages"]
    assert attack.info.calls == len(session.notes) > 5
