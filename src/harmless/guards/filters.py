"""What guards share that look at one text at a time: the reply if there is one, else the prompt."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from importlib import import_module
from typing import Any

import anyio
from anyio.to_thread import run_sync

from harmless.core import Exchange, Finding, GuardInfo, Outcome, Verdict
from harmless.errors import UsageError


class Filter(ABC):
    """Judges exchanges one by one in a thread, so that others go on; one that fails costs only itself."""

    def __init__(self, info: GuardInfo) -> None:
        self._info = info
        self._turn = anyio.CapacityLimiter(1)

    @property
    def info(self) -> GuardInfo:
        """Name, revision and what it covers."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; one that fails is unassessed with its cause."""
        return await run_sync(lambda: [self._timed(each) for each in exchanges], limiter=self._turn)

    @abstractmethod
    def verdict(self, exchange: Exchange) -> Verdict:
        """Return the verdict on one exchange; whatever is raised becomes the cause that it is unassessed."""

    def found(self, findings: Iterable[Finding], nothing: str) -> Verdict:
        """Return the verdict of findings: the score is the highest; ``nothing`` is the reason without any."""
        ordered = tuple(sorted(findings, key=lambda each: (each.span or (0, 0), each.rule)))
        score = max((each.score for each in ordered), default=0.0)
        named = ", ".join(dict.fromkeys(each.rule for each in ordered))
        return Verdict(
            outcome=Outcome.UNSAFE if score >= self._info.threshold else Outcome.SAFE,
            score=score,
            findings=ordered,
            reason=f"found {named}" if named else nothing,
        )

    def _timed(self, exchange: Exchange) -> Verdict:
        started = time.perf_counter()
        try:
            verdict = self.verdict(exchange)
        except Exception as error:
            first = str(error).strip().partition("\n")[0][:300]
            return Verdict.unassessed(f"{self._info.name}: {type(error).__name__}: {first}")
        return verdict.model_copy(update={"latency_s": time.perf_counter() - started})


def text_of(exchange: Exchange) -> str:
    """Return what is judged: the reply if there is one, else the prompt."""
    return exchange.prompt if exchange.reply is None else exchange.reply


def arguments(guard: str, given: Sequence[str], options: Collection[str]) -> tuple[list[str], dict[str, str]]:
    """Split what stands in a guard's brackets into words and ``option=value``.

    Raises:
        UsageError: an option is unknown, empty or given twice.
    """
    words = [each for each in given if "=" not in each]
    named: dict[str, str] = {}
    for each in given:
        name, equals, value = (part.strip() for part in each.partition("="))
        if equals and (name not in options or not value or name in named):
            known = ", ".join(f"{option}=" for option in options) or "none"
            raise UsageError(f"Guard '{guard}' does not take '{each}'.", f"Options: {known}.")
        if equals:
            named[name] = value
    return words, named


def third_party(guard: str, package: str, module: str) -> Any:
    """Return a module of a package that no extra of ours brings; UsageError if it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(
            f"Guard '{guard}' needs the package {package}: {error}.",
            f"Run: pip install {package} (in an environment of its own if it wants other versions than we do).",
        ) from error


def number(guard: str, option: str, value: str, least: float = 0.0, most: float = 1.0) -> float:
    """Return an option's value as a number from ``least`` to ``most``; UsageError if it is none."""
    try:
        found = float(value)
    except ValueError:
        found = float("nan")
    if not least <= found <= most:
        raise UsageError(
            f"Guard '{guard}': {option}={value} is not a number from {least:g} to {most:g}.",
            f"Write {option}={(least + most) / 2:g}.",
        )
    return found
