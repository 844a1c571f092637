"""``any_guardrail(NAME, ...)``: the guard models and services of Mozilla.ai's any-guardrail."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any, Literal

import yaml

from harmless.core import Exchange, Finding, GuardInfo, Outcome, Verdict, digest
from harmless.errors import UnknownNameError, UnreachableError, UsageError
from harmless.guards.filters import Filter, arguments, third_party

PACKAGE = "any-guardrail"
LEVEL = 0.5
_LLAMA_GUARD = "llama_guard"
_READABLE = re.compile(r"\W*(?:safe|unsafe)\b", re.IGNORECASE)


class AnyGuardrail(Filter):
    """Judges by a guardrail: the reply in the light of its prompt if there is one, else the prompt.

    The guardrail decides; its risk is the score, moved to the side of its decision. An output that the library
    could not parse is unassessed: it calls that invalid, except for Llama Guard, where it calls whatever lacks
    the word ``unsafe`` valid.

    Args:
        name: of the guardrail.
        evaluate: takes a prompt and a reply or None, and returns a ``GuardrailOutput``.
        stages: the sides that it judges, ``input`` and ``output``.
        hosted: whether it is a service.
        model: what stands behind it, in words; part of the revision.
    """

    def __init__(
        self, name: str, evaluate: Any, *, stages: frozenset[str], hosted: bool, model: str = ""
    ) -> None:
        self._name, self._evaluate, self._stages = name, evaluate, stages
        sees: Literal["prompt", "reply", "both"] = "both"
        if not stages >= {"input", "output"}:
            sees = "prompt" if "input" in stages else "reply"
        super().__init__(
            GuardInfo(
                name=f"any_guardrail({name})",
                revision=digest(name, model),
                sees=sees,
                licence="Apache-2.0; the model's own",
                needs=(PACKAGE,),
                leaves_machine=hosted,
            )
        )

    def verdict(self, exchange: Exchange) -> Verdict:
        """Return what the guardrail says."""
        if self._info.sees == "reply" and exchange.reply is None:
            return Verdict.unassessed(f"{self._info.name} judges replies only")
        if self._info.sees == "prompt" and exchange.reply is not None:
            return Verdict.unassessed(f"{self._info.name} judges prompts only")
        answer = self._evaluate(exchange.prompt, exchange.reply)
        said = str(answer.explanation or "")
        unread = (answer.extra or {}).get("parse_failure")
        if unread or (self._name == _LLAMA_GUARD and not _READABLE.match(said)):
            return Verdict.unassessed(f"{self._info.name}: the output cannot be read: {said[:200]!r}")
        return self._read(answer, said)

    def _read(self, answer: Any, said: str) -> Verdict:
        risk = answer.score
        if not isinstance(answer.valid, bool) or not (risk is None or 0 <= risk <= 1):
            raise ValueError(f"the guardrail answers {answer.valid!r} with a risk of {risk!r}")
        score = float(not answer.valid) if risk is None else float(risk)
        score = min(score, LEVEL - 1e-9) if answer.valid else max(score, LEVEL)
        findings = [
            Finding(rule=str(each.label or self._name), span=(each.start, each.end), score=_share(each.score))
            for each in answer.spans or ()
        ]
        findings += [
            Finding(rule=str(each.name), score=_share(each.score))
            for each in answer.categories
            if each.triggered
        ]
        return Verdict(
            outcome=Outcome.SAFE if answer.valid else Outcome.UNSAFE,
            score=score,
            findings=tuple(findings),
            labels={str(e.name): float(e.score) for e in answer.categories if e.score is not None},
            reason=" ".join(said.split())[:300] or ("valid" if answer.valid else "not valid"),
        )


def any_guardrail(name: str, *given: str) -> AnyGuardrail:
    """Return the guard of a guardrail.

    Args:
        name: as the library names it, such as ``llama_guard`` or ``deepset``.
        *given: arguments of its constructor as ``name=value``, read as YAML, such as ``model_id=ID``.

    Raises:
        UsageError: the library is not installed, or an argument is wrong.
        UnknownNameError: there is no such guardrail.
        UnreachableError: the model is not here and could not be fetched.
    """
    package = third_party("any_guardrail", PACKAGE, "any_guardrail")
    factory, names = package.AnyGuardrail, {str(each.value): each for each in package.GuardrailName}
    if name not in names:
        raise UnknownNameError("guardrail of any-guardrail", name, names)
    _, named = arguments("any_guardrail", given, [each.partition("=")[0].strip() for each in given])
    try:
        made = factory.create(names[name], **{key: yaml.safe_load(value) for key, value in named.items()})
    except OSError as error:
        raise UnreachableError(
            f"The model of {name} is not here: {str(error).strip().partition(chr(10))[0][:300]}",
            "Let it be fetched where there is a network.",
        ) from error
    except (ImportError, TypeError, ValueError) as error:
        raise UsageError(f"The guardrail {name} cannot be made: {error}.", "See its documentation.") from error
    known = factory.metadata(names[name])

    def evaluate(prompt: str, reply: str | None) -> Any:
        return factory.evaluate(names[name], made, prompt, reply)

    return AnyGuardrail(
        name,
        evaluate,
        stages=frozenset(str(each.value) for each in known.stages),
        hosted=bool(known.requires_api_key),
        model=f"{version(PACKAGE)} {sorted(named.items())}",
    )


def _share(score: float | None) -> float:
    return 1.0 if score is None else min(1.0, max(0.0, float(score)))
