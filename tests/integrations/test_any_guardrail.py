"""The guard ``any_guardrail`` with the real library, its models scripted through its own provider interface."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from harmless.core import Exchange, Outcome, Verdict
from harmless.errors import UnknownNameError, UsageError
from harmless.guards import load
from harmless.guards.any_guardrail import AnyGuardrail

pytestmark = pytest.mark.integration
library = pytest.importorskip("any_guardrail", reason="needs any-guardrail")
providers = pytest.importorskip("any_guardrail.providers.base", reason="needs any-guardrail")
types = pytest.importorskip("any_guardrail.types", reason="needs any-guardrail")

SAFE, UNSAFE, UNASSESSED = Outcome.SAFE, Outcome.UNSAFE, Outcome.UNASSESSED


class Scripted(providers.Provider):  # type: ignore[misc, name-defined]
    """Generates what it is told, and keeps what it is asked."""

    def __init__(self, said: str | Exception) -> None:
        self.said, self.asked = said, list[Any]()

    def load_model(self, model_id: str, **kwargs: Any) -> None:
        pass

    def pre_process(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def infer(self, model_inputs: Any) -> Any:
        raise NotImplementedError

    def generate_chat(self, messages: list[Any], **kwargs: Any) -> Any:
        self.asked.append(messages)
        if isinstance(self.said, Exception):
            raise self.said
        return types.GuardrailInferenceOutput(
            data={
                "generated_text": self.said, "prompt_token_count": 1, "completion_token_count": 1, "raw": None
            }
        )  # fmt: skip


def scripted(name: str, said: str | Exception) -> tuple[AnyGuardrail, Scripted]:
    provider = Scripted(said)
    kind = library.GuardrailName(name)
    made = library.AnyGuardrail.create(kind, provider=provider)
    stages = frozenset(each.value for each in library.AnyGuardrail.metadata(kind).stages)
    guard = AnyGuardrail(
        name, lambda p, r: library.AnyGuardrail.evaluate(kind, made, p, r), stages=stages, hosted=False
    )
    return guard, provider


def judge(guard: AnyGuardrail, *exchanges: Exchange) -> list[Verdict]:
    return anyio.run(guard.judge, list(exchanges))


@pytest.mark.parametrize(
    ("name", "said", "outcome"),
    [
        ("llama_guard", "\n\nsafe", SAFE),
        ("llama_guard", "\n\nunsafe\nS1,S10", UNSAFE),
        # The library calls these valid.
        ("llama_guard", "I cannot help with that.", UNASSESSED),
        ("llama_guard", "", UNASSESSED),
        ("llama_guard", "\ufffd\ufffd", UNASSESSED),
        ("wild_guard", "Harmful request: yes\nResponse refusal: n/a\nHarmful response: n/a", UNSAFE),
        ("wild_guard", "Harmful request: no\nResponse refusal: n/a\nHarmful response: n/a", SAFE),
        ("wild_guard", "I like turtles", UNASSESSED),
        ("qwen3_guard", "Safety: Unsafe\nCategories: Violent", UNSAFE),
        ("qwen3_guard", "Safety: Safe\nCategories: None", SAFE),
        ("qwen3_guard", "garbled \ufffd", UNASSESSED),
    ],
)
def test_what_a_model_says_is_read_and_garbled_output_is_unassessed(
    name: str, said: str, outcome: Outcome
) -> None:
    guard, _ = scripted(name, said)
    (verdict,) = judge(guard, Exchange.of("How do I hurt someone?"))
    assert verdict.outcome is outcome, verdict
    assert (verdict.score is None) is (outcome is UNASSESSED)


def test_categories_become_findings() -> None:
    guard, _ = scripted("llama_guard", "\n\nunsafe\nS1,S10")
    (verdict,) = judge(guard, Exchange.of("x"))
    assert [finding.rule for finding in verdict.findings] == ["S1", "S10"]


def test_prompt_and_reply_are_sent() -> None:
    guard, provider = scripted("llama_guard", "safe")
    judge(guard, Exchange.of("Hello", "Hi"))
    assert [turn["role"] for turn in provider.asked[0]] == ["user", "assistant"]
    assert "Hello" in str(provider.asked[0][0])
    assert "Hi" in str(provider.asked[0][1])


@pytest.mark.parametrize(
    "fault",
    [
        TimeoutError("slow"),
        ConnectionError("refused"),
        *(RuntimeError(f"http {code}") for code in (401, 429, 500)),
    ],
)
def test_a_fault_is_unassessed_with_its_cause(fault: Exception) -> None:
    guard, _ = scripted("llama_guard", fault)
    (verdict,) = judge(guard, Exchange.of("x"))
    assert (verdict.outcome, str(fault) in verdict.reason) == (UNASSESSED, True)


def test_what_is_no_guardrail_or_argument_is_named() -> None:
    with pytest.raises(UnknownNameError, match="llama_guard"):
        load("any_guardrail(lama_guard)")
    with pytest.raises(UsageError, match="cannot be made"):
        load("any_guardrail(llama_guard, model_id=some/thing-else)")
