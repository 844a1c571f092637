"""``llm_guard(SCANNER, ...)``: the scanners of LLM Guard (package ``llm-guard``) for prompts and replies."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module, resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import yaml

from harmless.core import Exchange, Finding, GuardInfo, Outcome, Verdict, digest
from harmless.errors import BadFileError, UnknownNameError, UnreachableError, UsageError
from harmless.guards.filters import Filter, arguments, third_party

LEVEL = 0.5
_BELOW = math.nextafter(LEVEL, 0.0)


class LlmGuard(Filter):
    """Judges by a scanner: the reply by that for outputs if there is one, else the prompt by that for inputs.

    The scanner decides. Its risk, from -1 (none) over 0 (at its threshold) to 1, is stretched to a score of 0
    to 1, and kept in ``labels``.

    Args:
        name: the scanner's class.
        inputs: has ``scan(prompt)``, or None if the scanner takes replies only.
        outputs: has ``scan(prompt, reply)``, or None if it takes prompts only.
        model: what stands behind them, in words; part of the revision.
    """

    def __init__(self, name: str, inputs: Any, outputs: Any, model: str = "") -> None:
        self._name, self._inputs, self._outputs = name, inputs, outputs
        self._hazard = known()["hazards"].get(name)
        sees: Literal["prompt", "reply", "both"] = "both"
        if inputs is None or outputs is None:
            sees = "prompt" if outputs is None else "reply"
        super().__init__(
            GuardInfo(
                name=f"llm_guard({name})",
                revision=digest(name, model),
                sees=sees,
                hazards=(self._hazard,) if self._hazard else (),
                licence="MIT",
                needs=("llm-guard",),
                leaves_machine=name in known()["asking"],
            )
        )

    def verdict(self, exchange: Exchange) -> Verdict:
        """Return what the scanner says."""
        reply = exchange.reply
        scanner = self._inputs if reply is None else self._outputs
        if scanner is None:
            return Verdict.unassessed(
                f"{self._info.name} judges {'replies' if reply is None else 'prompts'} only"
            )
        answer = scanner.scan(exchange.prompt) if reply is None else scanner.scan(exchange.prompt, reply)
        _, valid, risk = answer
        if not isinstance(valid, bool) or not -1 <= risk <= 1:
            raise ValueError(f"the scanner answers {valid!r} with a risk of {risk!r}")
        score = (float(risk) + 1) / 2
        score = min(score, _BELOW) if valid else max(score, LEVEL)
        return Verdict(
            outcome=Outcome.SAFE if valid else Outcome.UNSAFE,
            score=score,
            findings=() if valid else (Finding(hazard=self._hazard, rule=self._name, score=score),),
            labels={"risk": float(risk)},
            reason=f"{self._name}: {'valid' if valid else 'not valid'}, risk {risk:g}",
        )


def llm_guard(scanner: str, *given: str) -> LlmGuard:
    """Return the guard of a scanner, for both sides where LLM Guard has it for both.

    Args:
        scanner: its class, such as ``BanSubstrings``.
        *given: its arguments as ``name=value``, lists with ``|`` between their members; or ``config=FILE.yaml``
            with them.

    Raises:
        UnknownNameError: there is no such scanner.
        UsageError: LLM Guard is not installed (it needs Python below 3.13), or the scanner does not take an
            argument.
        UnreachableError: the scanner's model is not here and could not be fetched.
    """
    third_party("llm_guard", "llm-guard", "llm_guard")
    # It logs to standard output, where our own results may go.
    import_module("llm_guard.util").configure_logger("ERROR", stream=sys.stderr)
    classes = [
        getattr(import_module(f"llm_guard.{side}_scanners"), scanner, None) for side in ("input", "output")
    ]
    if not any(classes):
        raise UnknownNameError("scanner of LLM Guard", scanner, _names())
    config = _config(given)
    inputs, outputs = (_made(each, config) if each else None for each in classes)
    return LlmGuard(scanner, inputs, outputs, f"{version('llm-guard')} {sorted(config.items())}")


@cache
def known() -> dict[str, Any]:
    """Return what ``llm_guard.yaml`` says."""
    text = resources.files(__package__).joinpath("llm_guard.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def _config(given: tuple[str, ...]) -> dict[str, Any]:
    options = [each.partition("=")[0].strip() for each in given]
    words, named = arguments("llm_guard", given, options)
    if words:
        raise UsageError(f"Guard 'llm_guard' does not understand '{words[0]}'.", "Write NAME=VALUE.")
    file = named.pop("config", None)
    if file is None:
        return dict(named)
    try:
        found = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadFileError(file, f"It cannot be read: {error}.") from None
    if not isinstance(found, dict):
        raise BadFileError(file, "It holds no names with values.", next_step="Write NAME: VALUE.")
    return {**found, **named}


def _made(kind: Any, config: Mapping[str, Any]) -> Any:
    parameters = inspect.signature(kind).parameters
    if unknown := [name for name in config if name not in parameters]:
        known = ", ".join(f"{name}=" for name in parameters) or "none"
        raise UsageError(f"{kind.__name__} of LLM Guard has no '{unknown[0]}'.", f"It takes {known}.")
    options = {name: _typed(value, str(parameters[name].annotation)) for name, value in config.items()}
    if "vault" in parameters:
        options["vault"] = import_module("llm_guard.vault").Vault()
    try:
        return kind(**options)
    except (OSError, LookupError) as error:  # of transformers or tiktoken, of nltk
        raise UnreachableError(
            f"What LLM Guard's {kind.__name__} needs is not here: {_first_line(error)}",
            "Let it be fetched where there is a network.",
        ) from error
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{kind.__name__} of LLM Guard: {_first_line(error)}.", "See its documentation."
        ) from None


def _typed(value: Any, annotation: str) -> Any:
    if not isinstance(value, str):
        return value
    if "list" in annotation.lower() or "sequence" in annotation.lower():
        return [each.strip() for each in value.split("|") if each.strip()]
    return yaml.safe_load(value)


def _names() -> list[str]:
    sides = [import_module(f"llm_guard.{side}_scanners") for side in ("input", "output")]
    return sorted({name for side in sides for name in dir(side) if name[:1].isupper() and name != "Scanner"})


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
