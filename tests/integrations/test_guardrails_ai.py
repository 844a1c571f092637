"""Guardrails AI both ways, with the real package."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import anyio
import pytest

from harmless.core import Exchange, Outcome, Verdict
from harmless.errors import UsageError
from harmless.guards import load
from harmless.guards.guardrails_ai import validator

pytestmark = pytest.mark.integration
guardrails = pytest.importorskip("guardrails", reason="needs guardrails-ai")
base = pytest.importorskip("guardrails.validator_base", reason="needs guardrails-ai")
classes = pytest.importorskip("guardrails.classes", reason="needs guardrails-ai")

SAFE, UNSAFE, UNASSESSED = Outcome.SAFE, Outcome.UNSAFE, Outcome.UNASSESSED
KEY = "AKIA" + "QWER2345TYUI6724"


@base.register_validator(name="tests/ban", data_type="string")
class Ban(base.Validator):  # type: ignore[misc, name-defined]
    """Fails where a banned word is; the word poison raises, the word garbled is answered with nonsense."""

    def __init__(self, words: list[str], times: int = 1, on_fail: Any = None) -> None:
        super().__init__(on_fail=on_fail, words=words, times=times)
        self.words, self.times, self.seen = words, times, list[Any]()

    def _validate(self, value: Any, metadata: dict[str, Any]) -> Any:
        self.seen.append((value, metadata))
        if "poison" in value:
            raise RuntimeError("poisoned")
        if "garbled" in value:
            return classes.ValidationResult(outcome="maybe")
        found = [word for word in self.words if value.count(word) >= self.times]
        if not found:
            return classes.PassResult()
        place = value.index(found[0])
        spans = [base.ErrorSpan(start=place, end=place + len(found[0]), reason="banned")]
        return classes.FailResult(error_message=f"has {found[0]}", error_spans=spans)


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ModuleType("validators_of_a_stranger")
    made.Ban = Ban  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, made.__name__, made)


def judge(spec: str, *exchanges: Exchange) -> list[Verdict]:
    return anyio.run(load(spec).judge, list(exchanges))


def test_a_validator_is_a_guard() -> None:
    spec = "guardrails_ai(validators_of_a_stranger:Ban, words=foo|bar)"
    verdicts = judge(spec, Exchange.of("a bar"), Exchange.of("bread"), Exchange.of("bar", "fine"))
    assert [verdict.outcome for verdict in verdicts] == [UNSAFE, SAFE, SAFE]
    assert [(f.rule, f.span) for f in verdicts[0].findings] == [("Ban", (2, 5))]
    assert verdicts[0].reason == "has bar"
    assert load(spec).info.name == "guardrails_ai(Ban)"
    assert not load(spec).info.leaves_machine


def test_the_prompt_of_a_reply_is_in_the_metadata() -> None:
    guard = load("guardrails_ai(validators_of_a_stranger:Ban, words=foo)")
    anyio.run(guard.judge, [Exchange.of("Hello", "Hi")])
    assert guard._validator.seen == [("Hi", {"prompt": "Hello"})]


def test_arguments_are_typed() -> None:
    spec = "guardrails_ai(validators_of_a_stranger:Ban, words=a, times=2)"
    assert [v.outcome for v in judge(spec, Exchange.of("a"), Exchange.of("a a"))] == [SAFE, UNSAFE]


def test_a_validator_that_fails_or_talks_nonsense_is_unassessed_and_costs_only_its_item() -> None:
    spec = "guardrails_ai(validators_of_a_stranger:Ban, words=foo)"
    verdicts = judge(spec, *map(Exchange.of, ("fine", "poison", "garbled", "foo")))
    assert [verdict.outcome for verdict in verdicts] == [SAFE, UNASSESSED, UNASSESSED, UNSAFE]
    assert "poisoned" in verdicts[1].reason


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("guardrails_ai(no_such_module:Ban)", "cannot be imported"),
        ("guardrails_ai(validators_of_a_stranger:Nope)", "cannot be imported"),
        ("guardrails_ai(validators_of_a_stranger)", "cannot be imported"),
        ("guardrails_ai(validators_of_a_stranger:Ban, colour=red)", "cannot be made"),
    ],
)
def test_what_is_no_validator_is_a_usage_error(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(spec)


def test_telemetry_is_switched_off() -> None:
    guardrails.settings.rc.enable_metrics = True
    load("guardrails_ai(validators_of_a_stranger:Ban, words=foo)")
    assert guardrails.settings.rc.enable_metrics is False


def test_our_guard_is_a_validator() -> None:
    made = validator("secrets")  # before the Guard, whose telemetry it switches off
    guard = guardrails.Guard().use(made(on_fail="noop"))
    assert guard.validate("How do I bake bread?").validation_passed
    assert not guard.validate(f"It is {KEY}.").validation_passed


def test_its_fix_covers_what_was_found() -> None:
    made = validator("secrets")
    guard = guardrails.Guard().use(made(on_fail="fix"))
    assert guard.validate(f"It is {KEY}.").validated_output == "It is <secret.aws>."


def test_places_and_reason_are_in_the_result() -> None:
    result = validator("secrets")(on_fail="noop").validate(f"It is {KEY}.", {})
    assert (result.outcome, result.error_message) == ("fail", "found secret.aws")
    assert [(span.start, span.end, span.reason) for span in result.error_spans] == [(6, 26, "secret.aws")]


def test_a_threshold_of_ones_own_counts() -> None:
    token = "here is q7Rk2mZp9XvL4tYw8BnC1 x"
    assert validator("secrets")(on_fail="noop").validate(token, {}).outcome == "pass"
    assert validator("secrets", threshold=0.3)(on_fail="noop").validate(token, {}).outcome == "fail"


@pytest.mark.parametrize(("on_unassessed", "outcome"), [("block", "fail"), ("allow", "pass")])
def test_what_cannot_be_judged_is_up_to_the_setting(on_unassessed: Any, outcome: str) -> None:
    made = validator("gibberish", on_unassessed=on_unassessed)(on_fail="noop")
    assert made.validate("Как испечь хороший хлеб?", {}).outcome == outcome


def test_it_runs_inside_of_an_event_loop() -> None:
    async def check() -> bool:
        guard = guardrails.AsyncGuard().use(validator("secrets")(on_fail="noop"))
        return bool((await guard.validate(f"It is {KEY}.")).validation_passed)

    assert anyio.run(check) is False


def test_there_and_back_again() -> None:
    sys.modules["validators_of_a_stranger"].Ours = validator("secrets")  # type: ignore[attr-defined]
    verdicts = judge("guardrails_ai(validators_of_a_stranger:Ours)", Exchange.of(KEY), Exchange.of("Hello"))
    assert [verdict.outcome for verdict in verdicts] == [UNSAFE, SAFE]
