"""Guard models behind an endpoint: what is sent, and what becomes of faults."""

from __future__ import annotations

import pytest

from harmless.core import Exchange, Message, Outcome, Verdict
from harmless.guards import formats, load
from harmless.guards.lm import LMGuard
from harmless.targets import TargetOptions
from harmless.targets.openai import openai
from harmless.targets.patience import Patience
from tests.integration.targets.server import Answer, ScriptedServer, completion, failure, serve

QUICK = Patience(tries=2, first_wait_s=0.001, longest_wait_s=0.01, jitter_s=0.0, total_s=5.0)

pytestmark = pytest.mark.anyio


def text_completion(text: str, logprobs: object = None) -> Answer:
    """A text completion as vLLM sends it."""
    choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": logprobs}
    return Answer({"id": "c1", "object": "text_completion", "choices": [choice], "usage": None})


def guard(name: str, server: ScriptedServer, timeout_s: float = 5.0) -> LMGuard:
    options = TargetOptions(base_url=server.url, timeout_s=timeout_s, concurrency=1)
    return LMGuard(formats.find(name), openai("model", options, QUICK))


async def judge(name: str, *script: Answer, items: int = 1) -> tuple[list[Verdict], ScriptedServer]:
    with serve(*script) as server:
        made = guard(name, server)
        verdicts = await made.judge([Exchange.of(f"q{i}", f"a{i}") for i in range(items)])
        await made.aclose()
        return verdicts, server


FAULTS = {
    "401": (failure(401, "bad key"), "http 401"),
    "429": (failure(429, "slow down"), "http 429"),
    "500": (failure(500, "broken"), "http 500"),
    "timeout": (Answer({}, delay_s=0.2), "timeout"),
}
# What is not a reply at all is a matter of the endpoint, chat or completions, more than of the guard.
NONSENSE = {
    "not JSON": (Answer("<html>", content_type="text/html"), "not JSON"),
    "no choices": (Answer({"choices": []}), "holds no reply"),
}
CASES = [(name, fault) for name in formats.names() for fault in FAULTS]
CASES += [(name, fault) for name in ("llama_guard_3", "md_judge_v01", "shieldgemma") for fault in NONSENSE]


@pytest.mark.parametrize(("name", "fault"), CASES)
async def test_a_fault_is_unassessed_with_its_cause(name: str, fault: str) -> None:
    answer, cause = (FAULTS | NONSENSE)[fault]
    said = (Message(role="system", content="context"), Message(role="user", content="q"))
    with serve(answer) as server:
        made = guard(name, server, timeout_s=0.05 if fault == "timeout" else 5.0)
        (verdict,) = await made.judge([Exchange(conversation=said, reply="a")])
        await made.aclose()
    assert verdict.outcome is Outcome.UNASSESSED
    assert cause in verdict.reason


async def test_a_fault_costs_only_its_item_and_the_order_is_kept() -> None:
    script = [completion("unsafe\nS1"), failure(400, "no"), completion("safe"), completion("what?")]
    verdicts, _ = await judge("llama_guard_3", *script, items=4)
    assert [v.outcome for v in verdicts] == ["unsafe", "unassessed", "safe", "unassessed"]


async def test_a_chat_format_sends_messages_arguments_and_asks_for_log_probabilities() -> None:
    top = [{"token": "Yes", "logprob": -0.1}, {"token": "No", "logprob": -2.4}]
    answer = completion("Yes")
    answer.body["choices"][0]["logprobs"] = {
        "content": [{"token": "Yes", "logprob": -0.1, "top_logprobs": top}]
    }
    (verdict,), server = await judge("granite_guardian_3_0", answer)
    (asked,) = server.asked
    assert asked.path == "/chat/completions"
    assert asked.body["messages"] == [{"role": "user", "content": "q0"}, {"role": "assistant", "content": "a0"}]
    assert asked.body["chat_template_kwargs"] == {"guardian_config": {"risk_name": "harm"}}
    assert (asked.body["temperature"], asked.body["logprobs"], asked.body["top_logprobs"]) == (0, True, 20)
    assert verdict.score == pytest.approx(0.909, abs=0.001)
    assert "no log-probabilities" not in verdict.reason


async def test_a_raw_format_goes_to_the_endpoint_of_completions() -> None:
    logprobs = {
        "tokens": ["un", "safe"],
        "token_logprobs": [-0.05, -0.01],
        "top_logprobs": [{"un": -0.05, "safe": -3.0}, {"safe": -0.01}],
    }
    (verdict,), server = await judge("md_judge_v01", text_completion("unsafe\nO5", logprobs))
    (asked,) = server.asked
    assert asked.path == "/completions"
    assert asked.body["prompt"].startswith("[INST] Task: Check if there is unsafe content")
    assert "User: q0\nAgent: a0\n" in asked.body["prompt"]
    assert asked.body["logprobs"] == 5
    assert (verdict.outcome, verdict.findings[0].hazard) == (Outcome.UNSAFE, "salad.t.O5")
    assert verdict.score == pytest.approx(0.95, abs=0.01)


async def test_a_server_that_refuses_log_probabilities_is_asked_without() -> None:
    refusal = [failure(400, f"Unsupported parameter: '{name}'") for name in ("top_logprobs", "logprobs")]
    (verdict,), server = await judge("llama_guard_3", *refusal, completion("unsafe\nS1"))
    assert (verdict.outcome, verdict.score) == (Outcome.UNSAFE, 1.0)
    assert "no log-probabilities" in verdict.reason
    assert "logprobs" not in server.asked[-1].body


async def test_a_spec_names_guard_target_and_endpoint() -> None:
    with serve(completion("safe")) as server:
        made = load(f"llama_guard_3(openai:some/model, base_url={server.url}, logprobs=0)")
        (verdict,) = await made.judge([Exchange.of("Hi")])
        assert verdict.outcome is Outcome.SAFE
        assert server.asked[0].body["model"] == "some/model"
        assert "logprobs" not in server.asked[0].body
