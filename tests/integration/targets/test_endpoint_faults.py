"""Endpoints that fail in every way: what helps is tried again, the rest has a status and a cause."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from email.utils import formatdate

import anyio
import pytest

from harmless.core import Reply, ReplyStatus, Sampling, user
from harmless.targets import TargetOptions
from harmless.targets.anthropic import anthropic
from harmless.targets.endpoint import Endpoint
from harmless.targets.openai import openai
from harmless.targets.patience import Patience
from tests.integration.targets.server import (
    Answer,
    Reset,
    ScriptedServer,
    completion,
    failure,
    message,
    serve,
)

KEY = "sk-test-0123456789abcdef"
QUICK = Patience(tries=4, first_wait_s=0.001, longest_wait_s=0.4, jitter_s=0.0, total_s=10.0)

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_half_a_surrogate_pair_in_a_reply_is_replaced(kind: str) -> None:
    body = json.dumps(GOOD[kind].body).replace("Hello.", r"He\ud800llo.")
    reply, server = await ask(kind, [Answer(body)])
    assert (reply.status, reply.text) == (ReplyStatus.COMPLETE, "He\ufffdllo.")
    assert len(server.asked) == 1


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_replies_carry_their_cost_where_prices_are_given(kind: str) -> None:
    with serve(GOOD[kind]) as server:
        options = TargetOptions(base_url=server.url, input_price=1.0, output_price=10.0)
        target = {"openai": openai, "anthropic": anthropic}[kind]("some-model", options, QUICK)
        (reply,) = await target.reply([user("Hi?")], Sampling())
        await target.aclose()
        unpriced = made(kind, server)
        (other,) = await unpriced.reply([user("Hi?")], Sampling())
        await unpriced.aclose()
    usage = reply.usage
    assert usage.completion_tokens
    assert reply.cost_usd == pytest.approx((usage.prompt_tokens + 10 * usage.completion_tokens) / 1e6)
    assert (target.info.priced, unpriced.info.priced, other.cost_usd) == (True, False, None)


def made(kind: str, server: ScriptedServer, patience: Patience = QUICK, timeout_s: float = 5.0) -> Endpoint:
    options = TargetOptions(base_url=server.url, timeout_s=timeout_s, concurrency=3)
    return {"openai": openai, "anthropic": anthropic}[kind]("some-model", options, patience)


async def ask(
    kind: str, script: Sequence[Answer], timeout_s: float = 5.0, sampling: Sampling | None = None
) -> tuple[Reply, ScriptedServer]:
    """Ask one question of a server with that script; returns the reply and the server."""
    with serve(*script) as server:
        target = made(kind, server, timeout_s=timeout_s)
        (reply,) = await target.reply([user("Hi?")], sampling or Sampling())
        await target.aclose()
        return reply, server


GOOD = {"openai": completion(), "anthropic": message()}
BOTH = pytest.mark.parametrize("kind", ["openai", "anthropic"])
PASSING = {
    "rate limit": failure(429, "slow down"),
    "rate limit with a wait": failure(429, "slow down", headers={"Retry-After": "0.01"}),
    "time-out at the server": failure(408),
    "conflict": failure(409),
    "server error": failure(500),
    "bad gateway": Answer("<html>bad gateway</html>", status=502, content_type="text/html"),
    "overloaded": failure(529, "overloaded", type="overloaded_error"),
    "reset": Reset(),
    "slow": Answer({}, delay_s=3.0),
    "invalid JSON": Answer('{"choices": [{"mess'),
    "empty choices": Answer({"choices": [], "content": None}),
    "wrong content type": Answer("<html>hello</html>", content_type="text/html"),
    "no content type": Answer("hello", content_type=""),
}


@BOTH
@pytest.mark.parametrize("fault", PASSING)
async def test_a_passing_fault_is_tried_again_and_the_reply_is_whole(kind: str, fault: str) -> None:
    reply, server = await ask(kind, [PASSING[fault], GOOD[kind]], timeout_s=2.0 if fault == "slow" else 5)
    assert (reply.status, reply.text) == (ReplyStatus.COMPLETE, "Hello.")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (7, 3)
    assert len(server.asked) == 2


@BOTH
@pytest.mark.parametrize(
    ("fault", "status", "cause", "tries"),
    [
        ("rate limit", "error", "http 429: slow down", 4),
        ("server error", "error", "http 500: no", 4),
        ("bad gateway", "error", "http 502", 4),
        ("reset", "error", "connection failed", 4),
        ("invalid JSON", "malformed", "answer is invalid JSON", 2),
        ("empty choices", "malformed", "answer holds no reply", 2),
        ("wrong content type", "malformed", "answer is text/html, not JSON", 2),
    ],
)
async def test_a_lasting_fault_ends_with_its_cause(
    kind: str, fault: str, status: str, cause: str, tries: int
) -> None:
    reply, server = await ask(kind, [PASSING[fault]])
    assert reply.status == status
    assert reply.cause.startswith(cause)
    assert reply.text == ""
    assert len(server.asked) == tries


@BOTH
async def test_an_endpoint_that_never_answers_in_time_is_a_timeout(kind: str) -> None:
    with serve(Answer({}, delay_s=0.5)) as server:
        patience = Patience(tries=2, first_wait_s=0.001, jitter_s=0.0)
        target = made(kind, server, patience, timeout_s=0.1)
        started = time.monotonic()
        (reply,) = await target.reply([user("Hi?")], Sampling())
        assert time.monotonic() - started < 0.45
        await target.aclose()
    assert (reply.status, reply.cause) == (ReplyStatus.ERROR, "timeout: no reply within 0.1 s")
    assert reply.latency_s > 0.2


@BOTH
async def test_a_server_that_is_not_there_is_a_failed_connection(kind: str) -> None:
    with serve() as server:
        target = made(kind, server)
    (reply,) = await target.reply([user("Hi?")], Sampling())
    assert reply.status is ReplyStatus.ERROR
    assert reply.cause.startswith("connection failed")


@BOTH
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_what_cannot_get_better_is_not_tried_again(kind: str, status: int) -> None:
    reply, server = await ask(kind, [failure(status, "it is wrong"), GOOD[kind]])
    assert (reply.status, reply.cause) == (ReplyStatus.ERROR, f"http {status}: it is wrong")
    assert len(server.asked) == 1


async def test_a_used_up_quota_is_not_tried_again() -> None:
    reply, server = await ask("openai", [failure(429, "pay", code="insufficient_quota"), completion()])
    assert reply.cause == "http 429: pay"
    assert len(server.asked) == 1


@BOTH
@pytest.mark.parametrize("date", [False, True])
async def test_retry_after_is_waited_for(kind: str, date: bool) -> None:
    # A date has whole seconds; one of the past second means no wait at all, which is what is tested then.
    after = formatdate(time.time() - 1, usegmt=True) if date else "0.3"
    _, server = await ask(kind, [failure(429, headers={"Retry-After": after}), GOOD[kind]])
    first, second = (each.at for each in server.asked)
    assert second - first < 0.2 if date else second - first >= 0.3


@BOTH
async def test_an_endpoint_that_asks_for_a_long_wait_is_given_up_at_once(kind: str) -> None:
    reply, server = await ask(kind, [failure(429, "later", headers={"Retry-After": "3600"}), GOOD[kind]])
    assert reply.cause == "http 429 (retry after 3600 s): later"
    assert len(server.asked) == 1


@BOTH
async def test_order_is_kept_and_no_more_are_under_way_than_allowed(kind: str) -> None:
    slow = GOOD[kind]
    script = [Answer(slow.body, delay_s=0.05)] * 9
    with serve(*script) as server:
        target = made(kind, server)
        replies = await target.reply([user(f"{i}") for i in range(9)], Sampling())
        await target.aclose()
    assert [reply.text for reply in replies] == ["Hello."] * 9
    assert server.most == 3


async def test_one_bad_conversation_does_not_spoil_the_others() -> None:
    with serve(completion()) as server:
        target = made("openai", server)
        replies = await target.reply([user("a"), (), user("c")], Sampling())
        await target.aclose()
    assert [reply.status.value for reply in replies] == ["complete", "error", "complete"]
    assert replies[1].cause == "the conversation is empty"
    assert [each.body["messages"][0]["content"] for each in server.asked] in (["a", "c"], ["c", "a"])


@pytest.mark.parametrize(
    ("answer", "status", "text", "cause"),
    [
        (completion("Sure", "length"), "truncated", "Sure", "limit of tokens"),
        (completion(" \n"), "empty", " \n", "no text"),
        (completion(None), "empty", "", "no text"),
        (completion("", "length"), "empty", "", "no text before limit of tokens"),
        (completion("", "content_filter"), "filtered", "", "reply withheld by the provider's filter"),
        (completion(None, refusal="I won't."), "complete", "I won't.", ""),
        (completion("Hi", "eos"), "complete", "Hi", ""),
        (
            failure(400, "no", code="content_filter"),
            "filtered",
            "",
            "prompt withheld by the provider's filter: no",
        ),
        (
            failure(400, "This model's maximum context length is 50 tokens."),
            "error",
            "",
            "context overflow: This model's maximum context length is 50 tokens.",
        ),
        (
            failure(400, "too big", type="exceed_context_size_error"),
            "error",
            "",
            "context overflow: too big",
        ),
        (Answer({"error": {"message": "down"}}), "malformed", "", "answer holds no reply: down"),
        (Answer([1]), "malformed", "", "answer holds no reply"),
        (Answer("null"), "malformed", "", "answer holds no reply"),
        (Answer({"choices": [{"message": None}]}), "malformed", "", "answer holds no reply"),
    ],
)
async def test_openai_answers_are_told_apart(answer: Answer, status: str, text: str, cause: str) -> None:
    reply, _ = await ask("openai", [answer])
    assert (reply.status.value, reply.text, reply.cause) == (status, text, cause)


@pytest.mark.parametrize(
    ("answer", "status", "text", "cause"),
    [
        (message("Sure", "max_tokens"), "truncated", "Sure", "limit of tokens"),
        (message("Sure", "model_context_window_exceeded"), "truncated", "Sure", "the context is full"),
        (message("", "end_turn"), "empty", "", "no text"),
        (message("Half", "refusal"), "filtered", "", "reply withheld by the provider's filter"),
        (failure(400, "prompt is too long: 9 > 8"), "error", "", "context overflow: prompt is too long: 9 > 8"),
        (Answer({"content": [{"type": "text"}]}), "malformed", "", "answer holds no reply"),
    ],
)
async def test_anthropic_answers_are_told_apart(answer: Answer, status: str, text: str, cause: str) -> None:
    reply, _ = await ask("anthropic", [answer])
    assert (reply.status.value, reply.text, reply.cause) == (status, text, cause)


SAMPLED = Sampling(temperature=0.7, top_p=0.9, max_tokens=5, seed=3, stop=("END",), system="Be brief.")


async def test_openai_is_told_all_of_the_sampling() -> None:
    _, server = await ask("openai", [completion()], sampling=SAMPLED)
    (asked,) = server.asked
    assert asked.path == "/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body == {
        "model": "some-model",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi?"}],
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 5,
        "seed": 3,
        "stop": ["END"],
    }


async def test_anthropic_is_told_all_of_the_sampling_but_the_seed() -> None:
    _, server = await ask("anthropic", [message()], sampling=SAMPLED)
    (asked,) = server.asked
    assert asked.path == "/v1/messages"
    assert asked.body == {
        "model": "some-model",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Hi?"}],
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 5,
        "stop_sequences": ["END"],
    }


async def test_a_model_that_refuses_parameters_is_asked_without_them_from_then_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = [
        failure(
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            code="unsupported_parameter",
        ),
        failure(400, "Unsupported value: 'temperature' does not support 0.0 with this model."),
    ]
    with serve(*refusals, completion()) as server:
        target = made("openai", server)
        replies = [(await target.reply([user("Hi?")], Sampling(max_tokens=5)))[0] for _ in range(2)]
        await target.aclose()
    assert [reply.text for reply in replies] == ["Hello."] * 2
    assert len(server.asked) == 4
    for asked in server.asked[2:]:
        assert asked.body["max_completion_tokens"] == 5
        assert not {"max_tokens", "temperature"} & set(asked.body)
    assert "openai:some-model does not take temperature" in caplog.text


async def test_of_two_that_exclude_each_other_the_temperature_is_kept() -> None:
    refusal = failure(400, "`temperature` and `top_p` cannot both be specified for this model.")
    reply, server = await ask("anthropic", [refusal, message()], sampling=SAMPLED)
    assert reply.text == "Hello."
    assert server.asked[1].body["temperature"] == 0.7
    assert "top_p" not in server.asked[1].body


@BOTH
@pytest.mark.parametrize(
    "script",
    [
        [failure(401, f"the key {KEY} is wrong")],
        [failure(429, f"the key {KEY} is slow")],
        [Answer({"error": f"Bearer {KEY}"})],
        [failure(400, f"unsupported temperature for {KEY}"), failure(500, KEY)],
        [Reset()],
    ],
)
async def test_the_key_is_in_no_cause_and_no_log(
    kind: str, script: list[Answer], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        reply, server = await ask(kind, script)
    assert KEY in " ".join(server.asked[0].headers.values())
    assert reply.status is not ReplyStatus.COMPLETE
    assert KEY not in reply.model_dump_json()
    logged = [f"{record.getMessage()} {record.__dict__} {record.exc_info}" for record in caplog.records]
    assert logged
    assert KEY not in "\n".join(logged)


@BOTH
async def test_a_key_that_cannot_be_sent_is_in_no_cause(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{kind.upper()}_API_KEY", f"{KEY}\n{KEY}")
    reply, server = await ask(kind, [GOOD[kind]])
    assert reply.status is ReplyStatus.ERROR
    assert KEY not in reply.cause
    assert not server.asked


async def test_cancelling_does_not_wait_for_the_endpoint() -> None:
    with serve(failure(429, headers={"Retry-After": "5"})) as server:
        target = made("openai", server, Patience())
        started = time.monotonic()
        with anyio.move_on_after(0.3):
            await target.reply([user("Hi?")] * 5, Sampling())
        assert time.monotonic() - started < 2
        await target.aclose()
