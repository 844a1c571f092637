"""How likely a beginning of the reply is, as far as a target tells."""

from __future__ import annotations

import math
from collections.abc import Sequence

import anyio

from harmless.core import Conversation, LogProbTarget, Sampling, Target
from harmless.core.completion import Completion, CompletionTarget, ModelInput
from harmless.core.lines import lines
from harmless.errors import UnreachableError, UsageError

#: As many of the most likely tokens as services give.
TOP = 20


async def likelihoods(target: Target, conversations: Sequence[Conversation], beginning: str) -> list[float]:
    """Return the log-probability that the reply to each conversation begins so.

    Where a target only tells what its first token might have been, it is that of the likeliest token which
    ``beginning`` begins with, minus infinity if there is none among them.

    Raises:
        UsageError: the target gives no log-probabilities.
        UnreachableError: it could not be asked.
    """
    if isinstance(target, LogProbTarget):
        return await _exact(target, conversations, beginning)
    if not isinstance(target, CompletionTarget):
        raise UsageError(f"{target.info.name} gives no log-probabilities.", "Name one that does, as embedded.")
    inputs = [ModelInput(messages=lines(each, Sampling())) for each in conversations]
    found = await target.complete(inputs, Sampling(max_tokens=1), top_logprobs=TOP)
    return [_first(each, beginning, target) for each in found]


async def _exact(target: LogProbTarget, conversations: Sequence[Conversation], beginning: str) -> list[float]:
    found = [0.0] * len(conversations)

    async def one(place: int) -> None:
        found[place] = sum((await target.log_probability(conversations[place], [beginning]))[0])

    async with anyio.create_task_group() as tasks:
        for place in range(len(conversations)):
            tasks.start_soon(one, place)
    return found


def _first(completion: Completion, beginning: str, target: Target) -> float:
    if completion.status == "error":
        raise UnreachableError(f"{target.info.name} cannot be asked: {completion.cause}.")
    if not completion.tokens:
        raise UsageError(f"{target.info.name} gives no log-probabilities.", "Name one that does, as embedded.")
    first = completion.tokens[0]
    candidates = [*first.top, (first.text, first.logprob)]
    return max(
        (p for text, p in candidates if (t := text.strip()) and beginning.startswith(t)), default=-math.inf
    )
