"""``guardrails_ai(MODULE:CLASS, ...)``: validators of Guardrails AI as guards, and our guards as validators.

A validator of ours for a ``guardrails.Guard`` is made by :func:`validator`, which also switches off telemetry
in what is made after it::

    Harmless = validator("any(rules, embedded)")
    Guard().use(Harmless(on_fail="noop"))
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Any

import anyio
import yaml
from anyio.to_thread import run_sync

from harmless.core import Exchange, Finding, Guard, GuardInfo, Outcome, Verdict, digest
from harmless.core.judging import judge_safely
from harmless.core.policy import Action
from harmless.errors import UsageError
from harmless.guards.filters import Filter, arguments, text_of, third_party
from harmless.guards.redaction import redacted
from harmless.guards.registry import load

PACKAGE = "guardrails-ai"


class GuardrailsAi(Filter):
    """Judges by a validator: the reply if there is one, else the prompt.

    What fails is unsafe, with the places that the validator names; the prompt of a reply is in its metadata.

    Args:
        validator: anything whose ``validate(value, metadata)`` returns an ``outcome`` of ``pass`` or ``fail``.
        name: of the validator.
        model: what stands behind it, in words; part of the revision.
    """

    def __init__(self, validator: Any, name: str, model: str = "") -> None:
        self._validator, self._name = validator, name
        super().__init__(
            GuardInfo(
                name=f"guardrails_ai({name})",
                revision=digest(name, model),
                sees="both",
                licence="Apache-2.0; the validator's own",
                needs=(PACKAGE,),
                leaves_machine=not getattr(validator, "use_local", True),
            )
        )

    def verdict(self, exchange: Exchange) -> Verdict:
        """Return what the validator says."""
        text = text_of(exchange)
        result = self._validator.validate(text, {"prompt": exchange.prompt})
        if result.outcome not in ("pass", "fail"):
            raise ValueError(f"the validator answers {result.outcome!r}")
        if result.outcome == "pass":
            return Verdict(outcome=Outcome.SAFE, score=0.0, reason="passed")
        spans = getattr(result, "error_spans", None) or ()
        places = [(int(each.start), int(each.end)) for each in spans]
        named: list[tuple[int, int] | None] = [(a, b) for a, b in places if 0 <= a <= b <= len(text)]
        return Verdict(
            outcome=Outcome.UNSAFE,
            score=1.0,
            findings=tuple(Finding(rule=self._name, span=span) for span in named or [None]),
            reason=str(getattr(result, "error_message", "failed"))[:300],
        )


def guardrails_ai(place: str, *given: str) -> GuardrailsAi:
    """Return the guard of a validator.

    Its makers' telemetry is switched off.

    Args:
        place: module and class, such as ``guardrails_ai.regex_match:RegexMatch``.
        *given: the validator's arguments as ``name=value``, read as YAML; where it wants a list, with ``|``
            between the members.

    Raises:
        UsageError: Guardrails AI or the validator's package is not installed, or an argument is wrong.
    """
    package = third_party("guardrails_ai", PACKAGE, "guardrails")
    package.settings.rc.enable_metrics = False
    module, _, name = place.partition(":")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"The validator {place} cannot be imported: {error}.",
            "Write MODULE:CLASS, and install its package.",
        ) from error
    options = [each.partition("=")[0].strip() for each in given]
    _, named = arguments("guardrails_ai", given, options)
    try:
        made = kind(on_fail="noop", **_typed(kind, named))
    except Exception as error:
        raise UsageError(
            f"The validator {place} cannot be made: {error}.", f"It takes {inspect.signature(kind)}."
        ) from error
    model = f"{version(PACKAGE)} {module} {sorted(named.items())}"
    return GuardrailsAi(made, name, model)


def validator(
    guard: str | Guard, *, threshold: float | None = None, on_unassessed: Action = "block"
) -> type[Any]:
    """Return a validator class of Guardrails AI that judges by a guard of ours.

    The text is a reply if the metadata has a ``prompt``, else a prompt. What fails names the places, and its
    fix has them covered.

    Args:
        guard: a guard or its spec.
        threshold: score from which a text fails; the guard's own if None.
        on_unassessed: what happens to a text that could not be judged.

    Raises:
        UsageError: Guardrails AI is not installed.
    """
    base = third_party("guardrails_ai", PACKAGE, "guardrails.validator_base")
    results = third_party("guardrails_ai", PACKAGE, "guardrails.classes")
    third_party("guardrails_ai", PACKAGE, "guardrails").settings.rc.enable_metrics = False
    judge = load(guard) if isinstance(guard, str) else guard
    limit = judge.info.threshold if threshold is None else threshold

    class HarmlessValidator(base.Validator):  # type: ignore[misc, name-defined]
        """Fails where the guard's score reaches the threshold."""

        def _validate(self, value: Any, metadata: dict[str, Any]) -> Any:
            return _result(value, anyio.run(judge_safely, judge, [_exchange(value, metadata)])[0])

        async def async_validate(self, value: Any, metadata: dict[str, Any]) -> Any:
            # Validators are run inside of event loops, where another one cannot be started in the same thread.
            return await run_sync(self.validate, value, metadata)

    def _result(value: str, verdict: Verdict) -> Any:
        if verdict.outcome is Outcome.UNASSESSED or verdict.score is None:
            if on_unassessed == "allow":
                return results.PassResult()
            return results.FailResult(error_message=f"not assessed: {verdict.reason}", fix_value="")
        if verdict.score < limit:
            return results.PassResult()
        spans = [
            base.ErrorSpan(start=each.span[0], end=each.span[1], reason=each.rule)
            for each in verdict.findings
            if each.span
        ]
        fix = redacted(value, verdict) if spans else ""
        return results.FailResult(error_message=verdict.reason, fix_value=fix, error_spans=spans or None)

    made: type[Any] = base.register_validator(name="harmless/guard", data_type="string")(HarmlessValidator)
    return made


def _exchange(value: str, metadata: Mapping[str, Any]) -> Exchange:
    prompt = metadata.get("prompt")
    return Exchange.of(value) if prompt is None else Exchange.of(str(prompt), value)


def _typed(kind: Any, named: Mapping[str, str]) -> dict[str, Any]:
    parameters = inspect.signature(kind).parameters
    hints = {name: str(parameters[name].annotation).lower() for name in named if name in parameters}
    return {
        name: [each.strip() for each in value.split("|")]
        if "list" in hints.get(name, "")
        else yaml.safe_load(value)
        for name, value in named.items()
    }
