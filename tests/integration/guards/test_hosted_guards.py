"""Hosted guards against a local server: what they send, what they make of answers, and of none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from harmless.core import Exchange, Guard, Message, Outcome, Verdict
from harmless.guards.hosted import Hosted
from tests.integration.guards.hosted import (
    KEY,
    KINDS,
    Kind,
    azure_answer,
    google_answer,
    mistral_answer,
    openai_answer,
    webpurify_answer,
)
from tests.integration.targets.server import Answer, Asked, Reset, failure, serve

SAFE, UNSAFE, UNASSESSED = Outcome.SAFE, Outcome.UNSAFE, Outcome.UNASSESSED
each = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
TALK = Exchange(
    conversation=(Message(role="system", content="Be brief."), Message(role="user", content="Hi.")),
    reply="Darn it.",
)


def judge(guard: Hosted, exchanges: Sequence[Exchange | str]) -> list[Verdict]:
    async def run() -> list[Verdict]:
        try:
            return await guard.judge([Exchange.of(e) if isinstance(e, str) else e for e in exchanges])
        finally:
            await guard.aclose()

    return anyio.run(run)


def ask(
    kind: Kind,
    patch: pytest.MonkeyPatch,
    *script: Answer,
    exchanges: Sequence[Exchange | str] = ("Hi.",),
    **limits: Any,
) -> tuple[list[Verdict], list[Asked]]:
    with serve(*script) as server:
        return judge(kind.guard(server.url, patch, **limits), exchanges), server.asked


# What is sent


def golden(name: str, patch: pytest.MonkeyPatch, exchange: Exchange = TALK) -> Asked:
    kind = next(kind for kind in KINDS if kind.name == name)
    return ask(kind, patch, kind.safe, exchanges=[exchange])[1][0]


def test_openai_is_asked_for_the_reply_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = golden("openai_moderation", monkeypatch)
    assert asked.path == "/v1/moderations"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body == {"model": "omni-moderation-latest", "input": ["Darn it."]}


def test_mistral_is_asked_for_the_last_turn_in_its_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = golden("mistral_moderation", monkeypatch)
    assert asked.path == "/v1/chat/moderations"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body["model"] == "mistral-moderation-2603"
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in asked.body["input"][0]]
    assert turns == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Darn it."},
    ]


def test_azure_is_asked_for_four_levels_of_four_categories(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = golden("azure_content_safety", monkeypatch)
    assert asked.path == "/contentsafety/text:analyze?api-version=2024-09-01"
    assert asked.headers["ocp-apim-subscription-key"] == KEY
    assert asked.body == {
        "text": "Darn it.",
        "categories": ["Hate", "Sexual", "SelfHarm", "Violence"],
        "outputType": "FourSeverityLevels",
    }


def test_google_gets_the_key_in_a_header_and_not_in_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = golden("google_moderate_text", monkeypatch)
    assert asked.path == "/v2/documents:moderateText"
    assert asked.headers["x-goog-api-key"] == KEY
    assert asked.body == {
        "document": {"type": "PLAIN_TEXT", "content": "Darn it."},
        "modelVersion": "MODEL_VERSION_2",
    }


def test_webpurify_gets_the_key_in_the_form_and_not_in_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = golden("webpurify", monkeypatch)
    assert asked.path == "/services/rest/"
    assert asked.body == {
        "method": "webpurify.live.return",
        "api_key": KEY,
        "format": "json",
        "lang": "en",
        "text": "Darn it.",
    }


# What is made of answers


@each
def test_an_answer_becomes_a_verdict_with_hazards(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,), _ = ask(kind, monkeypatch, kind.unsafe)
    assert found.outcome is UNSAFE
    assert found.score is not None
    assert found.score >= 0.5
    assert kind.hazard in [finding.hazard for finding in found.findings]
    assert found.latency_s > 0
    (found,), _ = ask(kind, monkeypatch, kind.safe)
    assert (found.outcome, found.findings) == (SAFE, ())
    assert found.score is not None
    assert found.score < 0.5


@each
def test_a_guard_says_that_text_leaves_the_machine_and_which_key_it_needs(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = kind.guard("http://127.0.0.1:9", monkeypatch)
    assert isinstance(guard, Guard)
    assert guard.info.leaves_machine
    assert guard.info.needs
    assert kind.hazard in guard.info.hazards
    anyio.run(guard.aclose)


def test_openais_own_flags_count_and_its_scores_stay_as_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = openai_answer("sexual/minors", **{"sexual/minors": 0.2, "illicit": None})
    (found,), _ = ask(KINDS[0], monkeypatch, answer)
    assert (found.outcome, found.score) == (UNSAFE, 0.5)
    assert found.labels["sexual/minors"] == 0.2
    assert "illicit" not in found.labels
    assert [(f.rule, f.hazard, f.score) for f in found.findings] == [("sexual/minors", "salad.c.O6", 0.2)]
    (found,), _ = ask(KINDS[0], monkeypatch, openai_answer(hate=0.7))
    assert found.outcome is SAFE
    assert found.score == pytest.approx(0.5)
    assert found.score < 0.5
    assert found.cost_usd == 0


def test_webpurify_says_where_the_words_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Darn! You dang darn fool."
    (found,), _ = ask(KINDS[4], monkeypatch, webpurify_answer("dang", "darn"), exchanges=[text])
    assert [text[slice(*finding.span)] for finding in found.findings if finding.span] == [
        "dang",
        "Darn",
        "darn",
    ]


def test_google_topics_are_labels_and_no_harm_and_an_unknown_language_is_unassessed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (found,), _ = ask(KINDS[3], monkeypatch, google_answer(Health=0.99))
    assert (found.outcome, found.score, found.labels["Health"]) == (SAFE, 0.01, 0.99)
    (found,), _ = ask(KINDS[3], monkeypatch, google_answer(supported=False))
    assert found.outcome is UNASSESSED


def test_azure_judges_a_long_text_by_its_worst_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "A sentence. " * 1500
    script = [azure_answer(), azure_answer(Violence=6)]
    (found,), asked = ask(KINDS[2], monkeypatch, *script, exchanges=[text])
    assert found.score == 1.0
    assert "".join(each.body["text"] for each in asked) == text
    assert all(len(each.body["text"]) <= 10_000 for each in asked)


@each
def test_a_blank_text_is_unassessed_and_not_sent(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = ask(kind, monkeypatch, kind.safe, exchanges=["", " \n", Exchange.of("Hi.", "")])
    assert [each.outcome for each in found] == [UNASSESSED] * 3
    assert asked == []


# Batches


@pytest.mark.parametrize(("number", "answer"), [(0, openai_answer), (1, mistral_answer)])
def test_many_texts_go_in_one_request_and_keep_their_order(
    number: int, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = answer("sexual").body, answer().body
    script = Answer(one | {"results": other["results"] + one["results"] + other["results"]})
    found, asked = ask(KINDS[number], monkeypatch, script, exchanges=["a", "b", "c"], per_call=3)
    assert [each.outcome for each in found] == [SAFE, UNSAFE, SAFE]
    assert len(asked) == 1


@pytest.mark.parametrize("number", [0, 1])
def test_a_text_that_the_service_refuses_costs_only_itself(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = KINDS[number]
    script = [failure(400, "bad batch"), kind.safe, failure(400, "too odd"), kind.unsafe]
    found, asked = ask(kind, monkeypatch, *script, exchanges=["a", "b", "c"], per_call=3)
    assert [each.outcome for each in found] == [SAFE, UNASSESSED, UNSAFE]
    assert "too odd" in found[1].reason
    assert len(asked) == 4


@pytest.mark.parametrize("number", [0, 1])
def test_a_wrong_key_is_not_tried_for_each_text_of_a_batch(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, asked = ask(KINDS[number], monkeypatch, failure(401), exchanges=["a", "b", "c"], per_call=3)
    assert len(asked) == 1


def test_no_more_requests_than_allowed_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS[2]
    with serve(Answer(kind.safe.body, delay_s=0.05)) as server:
        judge(kind.guard(server.url, monkeypatch, concurrency=2), ["Hi."] * 6)
        assert (len(server.asked), server.most) == (6, 2)


# Faults


@each
@pytest.mark.parametrize(
    ("script", "cause", "requests"),
    [
        ([failure(401, f"Incorrect API key provided: {KEY}")], "http 401", 1),
        ([failure(403)], "http 403", 1),
        ([failure(429, "slow down")], "http 429", 2),
        ([failure(429, headers={"retry-after": "900"})], "retry after 900 s", 1),
        ([failure(500)], "http 500", 2),
        ([Answer("<html>Bad gateway</html>", 502, content_type="text/html")], "http 502", 2),
        ([Reset()], "connection failed", 2),
    ],
    ids=["401", "403", "429", "429 for long", "500", "502 page", "reset"],
)
def test_a_request_that_fails_leaves_it_unassessed_with_the_cause(
    kind: Kind,
    script: list[Answer],
    cause: str,
    requests: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    (found,), asked = ask(kind, monkeypatch, *script)
    assert found.outcome is UNASSESSED
    assert found.score is None
    assert cause in found.reason
    assert kind.name in found.reason
    assert len(asked) == requests
    assert KEY not in found.reason
    assert KEY not in caplog.text


@each
def test_a_service_that_does_not_answer_in_time_is_given_up(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Answer(kind.safe.body, delay_s=0.6)
    (found,), _ = ask(kind, monkeypatch, slow, timeout_s=0.2)
    assert found.outcome is UNASSESSED
    assert "timeout: no answer within 0.2 s" in found.reason


@each
@pytest.mark.parametrize("fault", [failure(429), failure(500), Reset()], ids=["429", "500", "reset"])
def test_a_fault_that_passes_is_got_over(kind: Kind, fault: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,), asked = ask(kind, monkeypatch, fault, kind.unsafe)
    assert found.outcome is UNSAFE
    assert len(asked) == 2


GARBAGE: list[Any] = [
    {},
    [],
    None,
    "safe",
    {"results": []},
    {"results": [{}]},
    {"results": [{"flagged": False, "categories": {}, "category_scores": {}}]},
    {"results": [{"flagged": False, "categories": {"hate": False}, "category_scores": {"hate": "low"}}]},
    {"results": [{"flagged": False, "categories": {"hate": False}, "category_scores": {"hate": 7}}]},
    {"results": [{"flagged": False, "categories": {"hate": True}, "category_scores": {"hate": float("nan")}}]},
    {"categoriesAnalysis": []},
    {"categoriesAnalysis": [{"category": "Hate"}]},
    {"categoriesAnalysis": [{"category": "Hate", "severity": None}]},
    {"categoriesAnalysis": [{"category": "Hate", "severity": 99}]},
    {"moderationCategories": []},
    {"moderationCategories": [{"name": "Toxic"}]},
    {"rsp": {"@attributes": {"stat": "ok"}}},
    {"rsp": {"@attributes": {"stat": "ok"}, "found": "many"}},
    {"rsp": {}},
]


@each
@pytest.mark.parametrize("body", GARBAGE, ids=[str(number) for number in range(len(GARBAGE))])
def test_an_answer_that_is_not_of_the_schema_is_unassessed(
    kind: Kind, body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,), _ = ask(kind, monkeypatch, Answer(body))
    assert found.outcome is UNASSESSED
    assert found.reason.startswith(kind.name)


@each
@pytest.mark.parametrize("text", ["", "safe", "<html>", '{"results": ['])
def test_an_answer_that_is_no_json_is_unassessed(
    kind: Kind, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,), _ = ask(kind, monkeypatch, Answer(text))
    assert found.outcome is UNASSESSED


@pytest.mark.parametrize(("code", "requests"), [("100", 1), ("106", 1), ("103", 2), ("104", 2)])
def test_webpurify_says_errors_in_an_answer_with_status_200(
    code: str, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = {"@attributes": {"code": code, "msg": "Invalid API Key"}}
    answer = Answer({"rsp": {"@attributes": {"stat": "fail"}, "err": error}})
    (found,), asked = ask(KINDS[4], monkeypatch, answer)
    assert found.outcome is UNASSESSED
    assert f"error {code}: Invalid API Key" in found.reason
    assert len(asked) == requests
