"""``perplexity(TARGET)``: text that a language model finds too surprising, such as the suffixes that GCG finds.

As Alon and Kamfonas, "Detecting language model attacks with perplexity" (2023), and the windows of Jain et al.,
"Baseline defenses for adversarial attacks against aligned language models" (2023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import anyio

from harmless import targets
from harmless.core import Exchange, Finding, GuardInfo, LogProbTarget, Outcome, Verdict, digest
from harmless.errors import UsageError
from harmless.guards.filters import arguments, number, text_of

WINDOW = 10
"""Tokens that are looked at together, as in the paper; the most surprising window counts."""
LEAST = 8
"""Tokens that a text must have to be judged: the first ones of any text surprise."""
LIMIT = 9.2
"""Nats a token at which the score is one half, of the embedded model; see design/filters.md."""
SCALE = 0.5
"""Nats a token by which the odds grow to e times."""
MOST = 1000
"""Characters that are read of a text: its beginning and its end, where suffixes are."""


class Perplexity:
    """Unsafe if a window of tokens is too unlikely under a model; a text of few tokens is safe.

    Args:
        target: gives log-probabilities.
        limit: nats a token at which the score is one half; what is usual differs by model.
        leaves: whether texts leave the machine.
    """

    def __init__(self, target: LogProbTarget, limit: float = LIMIT, *, leaves: bool = False) -> None:
        self._target, self._limit = target, limit
        self._info = GuardInfo(
            name=f"perplexity({target.info.name})",
            revision=digest(target.info.identity, limit, WINDOW, LEAST, SCALE, MOST),
            sees="both",
            licence="Apache-2.0; the model's own",
            needs=("a model",),
            leaves_machine=leaves,
            batch_size=16,
        )

    @property
    def info(self) -> GuardInfo:
        """Name, revision of model and settings."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; one that fails is unassessed with its cause."""
        texts = [_ends(text_of(exchange)) for exchange in exchanges]
        if not texts:
            return []
        started = anyio.current_time()
        try:
            tokens = await self._target.log_probability((), texts)
            if len(tokens) != len(texts):
                raise ValueError(f"{len(tokens)} results for {len(texts)} texts")
        except Exception as error:
            if len(exchanges) == 1:
                first = str(error).strip().partition("\n")[0][:300]
                return [Verdict.unassessed(f"{self._info.name}: {type(error).__name__}: {first}")]
            return [(await self.judge([exchange]))[0] for exchange in exchanges]
        each = (anyio.current_time() - started) / len(texts)
        return [self._verdict(found).model_copy(update={"latency_s": each}) for found in tokens]

    async def aclose(self) -> None:
        """Give back the model."""
        await self._target.aclose()

    def _verdict(self, logprobs: Sequence[float]) -> Verdict:
        if len(logprobs) < LEAST:
            return Verdict(outcome=Outcome.SAFE, score=0.0, reason="too few tokens")
        nats = surprise(logprobs)
        if not math.isfinite(nats):
            return Verdict.unassessed(f"{self._info.name}: the model gives no probabilities")
        score = 1 / (1 + math.exp(min(50.0, (self._limit - nats) / SCALE)))
        unsafe = score >= self._info.threshold
        return Verdict(
            outcome=Outcome.UNSAFE if unsafe else Outcome.SAFE,
            score=score,
            findings=(Finding(rule="perplexity", score=score),) if unsafe else (),
            labels={"nats": round(nats, 3), "mean": round(-sum(logprobs) / len(logprobs), 3)},
            reason=f"{nats:.1f} nats a token in the most surprising {WINDOW}",
        )


def surprise(logprobs: Sequence[float]) -> float:
    """Return the mean negative log-probability of the most surprising window, in nats a token."""
    width = min(WINDOW, len(logprobs))
    return max(-sum(logprobs[i : i + width]) / width for i in range(len(logprobs) - width + 1))


def perplexity(target: str, *given: str) -> Perplexity:
    """Return the guard.

    Args:
        target: spec of one that gives log-probabilities: ``embedded`` or ``hf:FOLDER_OR_ID``.
        *given: ``limit=`` nats a token at which the score is one half.

    Raises:
        UsageError: the target gives none, or an option is wrong.
    """
    words, options = arguments("perplexity", given, ("limit",))
    if words:
        raise UsageError(
            f"Guard 'perplexity' does not take '{words[0]}'.", "Write perplexity(TARGET, limit=6)."
        )
    limit = number("perplexity", "limit", options["limit"], 0.1, 50) if "limit" in options else LIMIT
    made = targets.load(target, targets.TargetOptions())
    if not isinstance(made, LogProbTarget):
        raise UsageError(f"{target} gives no log-probabilities.", "Name embedded, embedded:FILE.gguf or hf:ID.")
    return Perplexity(made, limit, leaves=target.partition(":")[0] not in ("embedded", "hf"))


def _ends(text: str) -> str:
    return text if len(text) <= MOST else text[: MOST // 2] + text[-MOST // 2 :]
