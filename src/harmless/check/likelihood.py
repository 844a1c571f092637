"""Choosing by likelihood: the target's own log-probability of each option, in place of a reply.

The reply that is kept has the total log-likelihood of each option and its number of tokens as JSON.
"""

from __future__ import annotations

import json
import math
import time
from itertools import count, takewhile

from harmless.check.choice import chosen_verdict
from harmless.core import Conversation, LogProbTarget, Prompt, Reply, ReplyStatus, Usage, Verdict, user
from harmless.errors import HarmlessError


def question(prompt: Prompt) -> Conversation:
    """Return what the options are scored after: the bare question where the text has them lettered."""
    bare = prompt.meta.get("question")
    return user(bare) if bare and prompt.conversation else prompt.conversation


async def score_options(target: LogProbTarget, prompt: Prompt) -> Reply:
    """Return the reply that holds the log-likelihoods of the prompt's options; a failure has its cause."""
    started = time.perf_counter()
    try:
        tokens = await target.log_probability(question(prompt), prompt.options)
    except HarmlessError as error:
        return Reply.error(error.message, time.perf_counter() - started)
    counts = [len(values) for values in tokens]
    found = {"log_likelihood": [round(math.fsum(values), 6) for values in tokens], "tokens": counts}
    return Reply(
        status=ReplyStatus.COMPLETE,
        text=json.dumps(found),
        usage=Usage(completion_tokens=sum(counts)),
        latency_s=time.perf_counter() - started,
    )


def likeliest(prompt: Prompt, reply: Reply) -> Verdict:
    """Return the verdict of role ``choice``: the likeliest option; labels ``log 0``, ``tokens 0``, ..."""
    if not reply.has_text:
        return Verdict.unassessed(f"{reply.status.value}: {reply.cause}")
    kept = json.loads(reply.text)
    found: list[float] = kept["log_likelihood"]
    verdict = chosen_verdict(prompt, [found.index(max(found))])
    logs = {f"log {i}": value for i, value in enumerate(found)}
    logs |= {f"tokens {i}": float(count) for i, count in enumerate(kept["tokens"])}
    return verdict.model_copy(update={"labels": {**verdict.labels, **logs}})


def log_likelihoods(verdict: Verdict) -> list[float] | None:
    """Return the log-likelihoods of the options, None where the choice was not made by likelihood."""
    return _labelled("log", verdict)


def token_counts(verdict: Verdict) -> list[float] | None:
    """Return the numbers of tokens of the options, None where the choice was not made by likelihood."""
    return _labelled("tokens", verdict)


def _labelled(name: str, verdict: Verdict) -> list[float] | None:
    labels = (f"{name} {i}" for i in count())
    return [verdict.labels[label] for label in takewhile(verdict.labels.__contains__, labels)] or None
