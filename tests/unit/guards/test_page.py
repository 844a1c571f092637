"""Every guard has a card, and the page of all guards is made from them."""

from __future__ import annotations

from contextlib import suppress

import pytest

from harmless.errors import HarmlessError
from harmless.guards import describe, load
from harmless.guards.page import NOTHING, cards, page
from tests.conftest import ROOT

OURS = [each for each in describe() if each.origin == "harmless"]
CARDS = cards()
ADVICE = "run `python -m harmless.guards.page > docs/guards-all.md`"


def test_the_page_in_docs_is_up_to_date() -> None:
    assert (ROOT / "docs" / "guards-all.md").read_text(encoding="utf-8") == page(), ADVICE


def test_every_guard_has_a_card_and_every_card_a_guard() -> None:
    assert {each.name for each in OURS} == set(CARDS), "add the guard to cards.yaml"


@pytest.mark.parametrize("name", sorted(CARDS))
def test_a_card_says_something_in_every_field(name: str) -> None:
    assert all(str(value).strip() for value in CARDS[name].model_dump().values())


def test_what_needs_an_extra_says_so() -> None:
    for entry in OURS:
        if entry.extra:
            assert f"extra {entry.extra}" in CARDS[entry.name].needs


def test_cards_agree_with_what_guards_say_of_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("OPENAI_API", "MISTRAL_API", "GOOGLE_API", "WEBPURIFY_API", "CONTENT_SAFETY"):
        monkeypatch.setenv(f"{service}_KEY", "of a test")
    monkeypatch.setenv("CONTENT_SAFETY_ENDPOINT", "http://127.0.0.1:9")
    made = {}
    for entry in OURS:
        with suppress(HarmlessError, OSError):  # it needs arguments, a package or an artefact
            made[entry.name] = load(entry.name).info
    assert len(made) >= 12
    said = {name: (info.sees, info.leaves_machine) for name, info in made.items()}
    assert said == {name: (CARDS[name].sees, not CARDS[name].sends.startswith(NOTHING)) for name in made}


def test_a_row_has_as_many_cells_as_the_head() -> None:
    lines = [line for line in page().splitlines() if line.startswith("| ")]
    assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1
    assert len(lines) == len(OURS) + 2
