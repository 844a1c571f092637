"""Guards that ask a target again: which target, how often, and what it said."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from harmless import targets
from harmless.core import Conversation, Reply, Sampling, Target
from harmless.errors import UsageError
from harmless.guards import registry

_LOCAL = ("embedded", "hf", "scripted")


@dataclass(frozen=True)
class Arguments:
    """What a spec names: a target (None if it needs none and names none), whether it sends text out, and
    options."""

    target: Target | None
    leaves_machine: bool
    options: dict[str, str]

    @property
    def asked(self) -> Target:
        """The target; UsageError if none is named."""
        if self.target is None:
            raise UsageError("This guard asks a target again.", "Name it first: NAME(openai:MODEL, ...).")
        return self.target

    def number(self, name: str, default: int) -> int:
        """Return an option that is a number of 1 or more."""
        value = self.options.get(name, str(default))
        if not value.isdecimal() or not int(value):
            raise UsageError(f"{name}={value} is no number of 1 or more.", f"Write {name}={default}.")
        return int(value)


def arguments(guard: str, given: Sequence[str], known: Collection[str]) -> Arguments:
    """Return what the arguments of a guard's spec name: at most one target, ``known`` options, those of
    targets.

    Raises:
        UsageError: an argument is none of these.
    """
    kinds = {kind.name for kind in targets.describe()}
    specs = [each for each in given if each.partition(":")[0] in kinds]
    options = dict(each.split("=", 1) for each in given if each not in specs and "=" in each)
    reach = {name: options.pop(name) for name in list(options) if name in targets.TargetOptions.model_fields}
    wrong = sorted(set(options) - set(known)) + [e for e in given if e not in specs and "=" not in e]
    if wrong or len(specs) > 1:
        raise UsageError(
            f"Guard '{guard}' does not take {wrong[0] if wrong else specs[1]!r}.",
            f"Write {guard}(TARGET, ...); options: {', '.join(sorted(known))}, and those of targets.",
        )
    target = load(specs[0], reach) if specs else None
    remote = bool(specs) and getattr(target, "leaves_machine", specs[0].partition(":")[0] not in _LOCAL)
    return Arguments(target, remote, options)


def load(spec: str, reach: dict[str, Any] | None = None) -> Target:
    """Return the target of a spec, reached as the options say."""
    try:
        options = targets.TargetOptions.model_validate(reach or {})
    except ValidationError as error:
        raise UsageError(
            f"Target '{spec}': {error.errors()[0]['msg']}.", "See the options of targets."
        ) from None
    return targets.load(spec, options, guards=registry.load)


async def ask(target: Target, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
    """Return one reply a conversation; where a target breaks its contract, the replies are errors with the
    cause."""
    try:
        replies = list(await target.reply(conversations, sampling)) if conversations else []
        if len(replies) != len(conversations):
            raise ValueError(f"{len(replies)} replies to {len(conversations)} conversations")
        return replies
    except Exception as error:
        if len(conversations) == 1:
            return [Reply.error(f"{type(error).__name__}: {error}")]
    return [(await ask(target, [each], sampling))[0] for each in conversations]


async def resampled(
    target: Target, conversations: Sequence[Conversation], samples: int, sampling: Sampling
) -> list[list[Reply]]:
    """Return ``samples`` replies to each conversation, with seeds from ``sampling.seed`` on."""
    columns = [
        await ask(target, conversations, sampling.model_copy(update={"seed": sampling.seed + turn}))
        for turn in range(samples)
    ]
    return [[column[i] for column in columns] for i in range(len(conversations))]


def spent(replies: Sequence[Reply]) -> dict[str, Any]:
    """Return ``latency_s`` and ``cost_usd`` of all replies together, for a verdict."""
    costs = [reply.cost_usd for reply in replies if reply.cost_usd is not None]
    return {"latency_s": sum(reply.latency_s for reply in replies), "cost_usd": sum(costs) if costs else None}


def cause(replies: Sequence[Reply]) -> str:
    """Return in one line why replies have no text."""
    found = next((r for r in replies if not r.has_text), None)
    return "no reply" if found is None else found.cause or found.status.value
