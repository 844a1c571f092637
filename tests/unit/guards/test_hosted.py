"""What hosted guards share: maps to hazards, keys, prices, and texts cut into pieces."""

from __future__ import annotations

from importlib import resources

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harmless import taxonomy
from harmless.errors import UsageError
from harmless.guards import load
from harmless.guards.hosted import pieces, service

NAMES = sorted(yaml.safe_load(resources.files("harmless.guards").joinpath("hosted.yaml").read_text()))
KEYS = {name: service(name).key for name in NAMES if service(name).key}


@pytest.mark.parametrize("name", NAMES)
def test_every_code_leads_to_a_hazard_of_the_spine(name: str) -> None:
    covered, spine = service(name).covered(), taxonomy.load()
    assert all(spine.hazard(hazard).key == hazard for hazard in covered)
    assert covered or name == "aws_prompt_safety"


@pytest.mark.parametrize(
    ("name", "id"),
    [("aws_comprehend", "aws_comprehend_toxicity"), ("mistral_moderation", "mistral_moderation")],
)
def test_every_code_of_a_services_taxonomy_is_mapped(name: str, id: str) -> None:
    assert {code.code for code in taxonomy.taxonomy(id).codes} <= set(service(name).hazards)


def test_openais_codes_follow_the_crosswalk_where_it_is_sure() -> None:
    openai, crosswalk = service("openai_moderation"), taxonomy.crosswalk("openai_moderation")
    for code in taxonomy.taxonomy("openai_moderation").codes:
        inside = crosswalk.back(code.code, taxonomy.INSIDE)
        assert openai.hazard(code.code) == inside[0] if inside else openai.hazard(code.code)
    assert openai.hazard("a code of tomorrow") is None


@pytest.mark.parametrize("name", sorted(KEYS))
@pytest.mark.parametrize("value", [None, "", "  "])
def test_without_its_key_a_guard_names_the_variable(
    name: str, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTENT_SAFETY_ENDPOINT", "https://example.org")
    monkeypatch.delenv(KEYS[name], raising=False)
    if value is not None:
        monkeypatch.setenv(KEYS[name], value)
    with pytest.raises(UsageError, match=f"needs the environment variable {KEYS[name]}"):
        load(name)


def test_azure_needs_an_address_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTENT_SAFETY_KEY", "k")
    monkeypatch.delenv("CONTENT_SAFETY_ENDPOINT", raising=False)
    with pytest.raises(UsageError, match="CONTENT_SAFETY_ENDPOINT"):
        load("azure_content_safety")
    monkeypatch.setenv("CONTENT_SAFETY_ENDPOINT", "nowhere")
    with pytest.raises(UsageError, match="not the address"):
        load("azure_content_safety")


@pytest.mark.parametrize(
    ("name", "characters", "usd"),
    [
        ("openai_moderation", 5000, 0.0),
        ("aws_comprehend", 10, 0.0003),
        ("aws_comprehend", 401, 0.0005),
        ("google_moderate_text", 101, 0.001),
        ("webpurify", 10, None),
    ],
)
def test_what_a_text_costs_by_the_list(name: str, characters: int, usd: float | None) -> None:
    cost = service(name).cost("x" * characters)
    assert cost == (None if usd is None else pytest.approx(usd))


@settings(deadline=None)
@given(
    text=st.text(alphabet=st.sampled_from("ab .!\nä€𝄞"), max_size=200),
    most=st.integers(4, 40),
    size=st.sampled_from([len, lambda text: len(text.encode())]),
)
def test_pieces_are_short_enough_and_make_the_text_again(text: str, most: int, size) -> None:
    found = list(pieces(text, most, size))
    assert "".join(piece for _, piece in found) == text
    assert all(0 < size(piece) <= most for _, piece in found)
    assert all(text[start : start + len(piece)] == piece for start, piece in found)


def test_pieces_end_behind_a_sentence_or_else_a_word() -> None:
    assert [piece for _, piece in pieces("One two. Three four five.", 15)] == [
        "One two.",
        " Three four ",
        "five.",
    ]
    assert [piece for _, piece in pieces("aaaaaaaaaa", 4)] == ["aaaa", "aaaa", "aa"]
