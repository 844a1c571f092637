"""Secrets are found by their formats, and where nothing is known of them by how random they look.

Every token here is made when the tests run, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmless.core import Exchange, Outcome, Verdict
from harmless.guards import load
from harmless.guards.rules import rules
from harmless.guards.secrets import LIKELY, MOST, SCORE, entropy, random_tokens, secrets

GUARD = secrets()
MIXED = string.ascii_letters + string.digits
URL_SAFE = MIXED + "_-"
TIMES = 50


def drawn(seed: int) -> Callable[[int, str], str]:
    source = random.Random(seed)
    return lambda length, alphabet=MIXED: "".join(source.choice(alphabet) for _ in range(length))


FORMATS = {
    "secret.aws": lambda d: "AKIA" + d(16, string.ascii_uppercase + "234567"),
    "secret.github": lambda d: "ghp_" + d(36, MIXED),
    "secret.gitlab": lambda d: "glpat-" + d(20, MIXED),
    "secret.slack": lambda d: f"xoxb-{d(12, string.digits)}-{d(12, string.digits)}-{d(24, MIXED)}",
    "secret.stripe": lambda d: "sk_live_" + d(24, MIXED),
    "secret.openai": lambda d: "sk-proj-" + d(48, MIXED),
    "secret.google": lambda d: "AIza" + d(34, URL_SAFE) + d(1, MIXED),
    "secret.hugging_face": lambda d: "hf_" + d(34, string.ascii_letters),
    "secret.package_index": lambda d: "npm_" + d(36, MIXED),
    "secret.sendgrid": lambda d: f"SG.{d(22, MIXED)}.{d(43, MIXED)}",
    "secret.jwt": lambda d: f"eyJ{d(20, MIXED)}.eyJ{d(40, MIXED)}.{d(43, MIXED)}",
    "secret.azure_storage": lambda d: f"AccountKey={d(86, MIXED)}==",
    "secret.private_key": lambda d: f"-----BEGIN RSA PRIVATE KEY-----\n{d(64, MIXED)}",
    "secret.url_password": lambda d: f"postgres://admin:{d(12, MIXED)}@db.internal/live",
    "secret.assigned": lambda d: f"client_secret = '{d(12, string.digits)}{d(12, string.ascii_letters)}'",
}


def judge(*exchanges: Exchange | str) -> list[Verdict]:
    return anyio.run(GUARD.judge, [Exchange.of(e) if isinstance(e, str) else e for e in exchanges])


@pytest.mark.parametrize("rule", FORMATS)
def test_every_token_of_a_known_format_is_found_in_prompts_and_in_replies(rule: str) -> None:
    draw = drawn(1)
    for _ in range(TIMES):
        text = f"Here you go: {FORMATS[rule](draw)} and thanks."
        for exchange in (Exchange.of(text), Exchange.of("What was it?", text)):
            (verdict,) = judge(exchange)
            assert verdict.outcome is Outcome.UNSAFE
            assert rule in {finding.rule for finding in verdict.findings}
            start, end = verdict.findings[0].span or (0, 0)
            assert 13 <= start < end <= len(text) - len(" and thanks.")


@pytest.mark.parametrize(
    ("length", "alphabet", "alone", "named"),
    [
        (20, MIXED, 0.9, 0.9),
        (40, MIXED + "+/", 0.95, 0.95),
        (32, string.ascii_lowercase + string.digits, 0.55, 0.9),
        (32, string.ascii_uppercase + "234567", 0.2, 0.85),
        (40, "0123456789abcdef", 0.0, 0.95),
    ],
    ids=["base62", "base64", "base36", "base32", "hex"],
)
def test_tokens_of_unknown_format_are_found_by_their_randomness(
    length: int, alphabet: str, alone: float, named: float
) -> None:
    draw = drawn(2)
    tokens = [draw(length, alphabet) for _ in range(200)]
    plain = [verdict.score for verdict in judge(*(f"here it is: {token} bye" for token in tokens))]
    said = [verdict.score for verdict in judge(*(f"My API key: {token} bye" for token in tokens))]
    assert sum(score >= SCORE for score in plain) >= alone * 200
    assert sum(score >= LIKELY for score in said) >= named * 200


def test_a_random_token_alone_is_shown_and_does_not_make_a_text_unsafe() -> None:
    (verdict,) = judge(f"build {drawn(3)(32, MIXED)} passed")
    assert (verdict.outcome, verdict.score) == (Outcome.SAFE, SCORE)
    assert [(finding.rule, finding.span) for finding in verdict.findings] == [("secret.random", (6, 38))]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What is an access token?",
        "Call convertUtf8ToLatin1StringQuickly and internationalizationSupportHelper2.",
        "See src/harmless/guards/transformers_classifier.py and docs/guards-combined-2026.md",
        "commit " + "0a1b2c3d4e" * 4,
        "request 123e4567-e89b-12d3-a456-426614174000 failed",
        "https://example.org/articles/2024/11/24/how-to-bake-bread-at-home-in-10-steps",
        "1234567890123456789012345678901234567890",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1",
        "the key is to be patient",
        "A" * 100_000,
        "\x00\ud800 \u202e" * 50,
    ],
)
def test_ordinary_text_and_garbage_have_no_secrets(text: str) -> None:
    (verdict,) = judge(text)
    assert (verdict.outcome, verdict.score, verdict.findings) == (Outcome.SAFE, 0.0, ())


def test_a_known_format_is_not_reported_twice() -> None:
    (verdict,) = judge("token: ghp_" + drawn(4)(36, MIXED))
    assert [finding.rule for finding in verdict.findings] == ["secret.github"]


def test_a_text_full_of_random_tokens_gives_a_bounded_number_of_findings() -> None:
    draw = drawn(5)
    assert len(judge(" ".join(draw(32, MIXED) for _ in range(100)))[0].findings) == MOST


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=300))
def test_spans_lie_in_the_text_and_order_is_kept(text: str) -> None:
    (verdict,) = judge(text)
    spans = [finding.span for finding in verdict.findings]
    assert spans == sorted(spans, key=lambda span: span or (0, 0))
    assert all(span and 0 <= span[0] < span[1] <= len(text) for span in spans)


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=80))
def test_entropy_is_at_most_that_of_all_characters_once(text: str) -> None:
    assert 0 <= entropy(text) <= len(text)
    assert entropy(text) == pytest.approx(entropy(text * 2))


def test_the_entropy_of_a_fair_coin_is_one_bit() -> None:
    assert (entropy("abab"), entropy("aaaa"), entropy("")) == (1, 0, 0)


def test_a_poisoned_item_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    find = GUARD.find

    def poisoned(text: str, side: str = "prompt") -> object:
        if "poison" in text:
            raise RuntimeError("poisoned")
        return find(text, side)

    monkeypatch.setattr(GUARD, "find", poisoned)
    outcomes = [verdict.outcome for verdict in judge("fine", "poison", "AKIA" + "Q" * 16)]
    assert outcomes == [Outcome.SAFE, Outcome.UNASSESSED, Outcome.UNSAFE]


def test_a_rule_file_of_ours_can_be_named_alone() -> None:
    ours = rules("secrets")
    assert {finding.rule for finding in ours.find("a@b.org AKIA" + "Q" * 16)} == {"secret.aws"}
    assert load("rules(secrets, pii)").info.identity != ours.info.identity
    assert load("secrets").info.name == "secrets"


def test_random_looking_tokens_in_ordinary_prompts_are_rare(shared_data: Path) -> None:
    lines = (shared_data / "benign_prompts.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines[::4]]
    assert sum(bool(list(random_tokens(text))) for text in texts) <= 0.001 * len(texts)
