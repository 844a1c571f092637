"""``semantic_entropy(TARGET)``: how many different things a target answers to the same question.

Farquhar et al., 2024: sampled answers that entail each other in both directions mean the same; the entropy
over such clusters is high where the model makes things up. Errors that it repeats every time are invisible.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from harmless.core import Exchange, GuardInfo, Outcome, Reply, Sampling, Target, Verdict, digest
from harmless.core.completion import Completion, CompletionTarget, ModelInput
from harmless.errors import UsageError
from harmless.guards.asked import arguments, cause, resampled, spent
from harmless.guards.hallucination import HAZARD, LEAST
from harmless.guards.support import Nli

SAMPLES, TEMPERATURE, MAX_TOKENS = 10, 1.0, 50
OPTIONS = ("samples", "nli", "by")

Same: TypeAlias = Callable[[str, str, str], Awaitable[bool]]
"""Whether two answers to a question (question, first, second) mean the same."""

_ARTICLE = re.compile(r"\b(?:the|an?)\b")


class SemanticEntropy:
    """Judges the question: the target is asked ``samples`` times at temperature 1, whether or not there is a
    reply.

    ``labels`` holds ``entropy`` (nats), ``clusters`` and ``samples``; the score is the entropy divided by the
    log of
    the number of samples. Without an NLI model answers mean the same only if they are equal but for case,
    articles
    and punctuation, so ask for short answers. ``by`` is ``counts`` (discrete semantic entropy) or ``logprobs``
    (clusters weighed by the mean log-probability of their answers' tokens; the target has to give them).
    """

    def __init__(
        self,
        target: Target,
        nli: Nli | None = None,
        *,
        samples: int = SAMPLES,
        by: str = "counts",
        leaves_machine: bool = True,
    ) -> None:
        self._target, self._samples, self._by = target, samples, by
        self._same: Same = _entailing(nli) if nli else equal
        self._info = GuardInfo(
            name=f"semantic_entropy({target.info.name})",
            revision=digest(target.info.identity, nli.revision if nli else "equal", samples, by),
            sees="prompt",
            hazards=(HAZARD,),
            leaves_machine=leaves_machine,
            batch_size=target.info.batch_size,
        )

    @property
    def info(self) -> GuardInfo:
        """Name, revision (target, model of inference, samples) and whether the target sends text out."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; latency and cost are those of the samples."""
        asked = await self._ask(exchanges)
        return [await self._verdict(*each) for each in zip(exchanges, asked, strict=True)]

    async def aclose(self) -> None:
        """Close the target."""
        await self._target.aclose()

    async def _ask(self, exchanges: Sequence[Exchange]) -> list[list[Reply]]:
        sampling = Sampling(temperature=TEMPERATURE, max_tokens=MAX_TOKENS, seed=1)
        conversations = [each.conversation for each in exchanges]
        if self._by == "counts":
            return await resampled(self._target, conversations, self._samples, sampling)
        if not isinstance(self._target, CompletionTarget):
            return [[Reply.error("the target gives no probabilities; use by=counts")] for _ in exchanges]
        inputs = [ModelInput(messages=tuple(m.model_dump() for m in each)) for each in conversations]
        columns: list[list[Completion]] = []
        for seed in range(1, self._samples + 1):
            try:
                found = await self._target.complete(inputs, sampling.model_copy(update={"seed": seed}), 1)
            except Exception as error:
                found = [Completion.of(Reply.error(f"{type(error).__name__}: {error}"))] * len(inputs)
            columns.append(found)
        return [[column[i] for column in columns] for i in range(len(exchanges))]

    async def _verdict(self, exchange: Exchange, replies: Sequence[Reply]) -> Verdict:
        said = [reply for reply in replies if reply.has_text and reply.text.strip()]
        costs = spent(replies)
        if len(said) < LEAST:
            why = f"{len(said)} of {len(replies)} samples have text ({cause(replies)})"
            return Verdict.unassessed(why).model_copy(update=costs)
        try:
            groups = await clusters(exchange.prompt, [reply.text for reply in said], self._same)
            weights = [1.0] * len(said) if self._by == "counts" else [likelihood(reply) for reply in said]
        except Exception as error:
            return Verdict.unassessed(f"{type(error).__name__}: {error}").model_copy(update=costs)
        nats = entropy([sum(weights[i] for i in group) for group in groups])
        score = min(nats / math.log(len(said)), 1.0)
        return Verdict(
            outcome=Outcome.UNSAFE if score >= self._info.threshold else Outcome.SAFE,
            score=score,
            labels={"entropy": nats, "clusters": float(len(groups)), "samples": float(len(said))},
            reason=f"{len(groups)} different answers in {len(said)}",
            **costs,
        )


async def clusters(question: str, answers: Sequence[str], same: Same) -> list[list[int]]:
    """Return groups of positions of ``answers``; each joins the first group whose first answer means the
    same."""
    found: list[list[int]] = []
    for i, answer in enumerate(answers):
        for group in found:
            if await same(question, answers[group[0]], answer):
                group.append(i)
                break
        else:
            found.append([i])
    return found


def entropy(weights: Sequence[float]) -> float:
    """Return the entropy in nats of weights that are not negative, after dividing by their sum."""
    total = sum(weights)
    return max(-sum(w / total * math.log(w / total) for w in weights if w > 0), 0.0)


def likelihood(reply: Reply) -> float:
    """Return the geometric mean of the probabilities of a completion's tokens.

    Raises:
        ValueError: it has no probabilities.
    """
    tokens = getattr(reply, "tokens", ())
    if not tokens:
        raise ValueError("an answer without probabilities; use by=counts")
    return math.exp(sum(token.logprob for token in tokens) / len(tokens))


async def equal(question: str, first: str, second: str) -> bool:
    """Return whether two answers are equal but for case, articles, punctuation and white space."""
    return _plain(first) == _plain(second)


def _plain(text: str) -> list[str]:
    return re.sub(r"[^\w\s]|_", "", _ARTICLE.sub(" ", text.casefold())).split()


def _entailing(nli: Nli) -> Same:
    async def same(question: str, first: str, second: str) -> bool:
        one, other = f"{question} {first}", f"{question} {second}"
        return all(await nli.entails([(one, other), (other, one)]))

    return same


def semantic_entropy(*given: str) -> SemanticEntropy:
    """Return the guard of ``semantic_entropy(TARGET, samples=10, nli=FOLDER, by=counts)``."""
    read = arguments("semantic_entropy", given, OPTIONS)
    by = read.options.get("by", "counts")
    if by not in ("counts", "logprobs"):
        raise UsageError(f"semantic_entropy does not weigh by '{by}'.", "Write by=counts or by=logprobs.")
    nli = Nli(read.options["nli"]) if "nli" in read.options else None
    return SemanticEntropy(
        read.asked, nli, samples=read.number("samples", SAMPLES), by=by, leaves_machine=read.leaves_machine
    )
