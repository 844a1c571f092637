"""A small trained classifier shipped with the package: harm of a prompt, or of a reply in its context.

Logistic regression over hashed n-grams; a prompt of 50 characters takes tens of microseconds in a batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from harmless import taxonomy
from harmless.core.exchange import Exchange
from harmless.core.protocols import GuardInfo
from harmless.core.verdict import Finding, Outcome, Verdict
from harmless.guards.batches import judge_each
from harmless.guards.features import hashed, words
from harmless.guards.hazard import HazardNamer, Named
from harmless.guards.linear import Artefact, LinearModel, sigmoid
from harmless.guards.linear import shipped as shipped_artefact
from harmless.guards.reading import readings
from harmless.guards.signals import LIMIT
from harmless.guards.views import REPLY_BITS, WHOLE, harm_views, prompt_text

ARTEFACTS = ("prompt", "reply", "hazard")
#: Says in the revision how prompts are read; changes with :func:`harmless.guards.reading.readings`.
READ = "undisguised, in parts"
TOP_WORDS = 3
MAX_EXPLAINED = 4000


class EmbeddedGuard:
    """Judges the reply where there is one, otherwise the last user message after the earlier ones.

    The score is a calibrated probability of harm on data that is half harmful; a prompt in disguise (leetspeak,
    look-alikes, spaced-out letters) or of several sentences has that of its worst reading
    (:mod:`harmless.guards.reading`). A flagged text gets up to three findings: the words that drove the score,
    each with its span and the hazard: the leaf if it is likely enough, else the task, else the domain.
    ``labels`` holds their probabilities.
    """

    def __init__(self, artefacts: dict[str, Artefact] | None = None) -> None:
        self._given = artefacts

    @cached_property
    def _artefacts(self) -> dict[str, Artefact]:
        return self._given or {name: shipped_artefact(name) for name in ARTEFACTS}

    @cached_property
    def _namer(self) -> HazardNamer:
        return HazardNamer(self._artefacts["hazard"])

    @property
    def info(self) -> GuardInfo:
        """Name, revision (digests of the artefacts), all hazards it can name, and the threshold for prompts."""
        return GuardInfo(
            name="embedded",
            revision="-".join([*(self._artefacts[name].revision[:8] for name in ARTEFACTS), READ]),
            family="built-in n-grams",
            sees="both",
            threshold=self._artefacts["prompt"].metadata["threshold"],
            hazards=self._namer.keys,
            licence=self._artefacts["prompt"].metadata["licence"],
        )

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; never raises for one bad item."""
        return judge_each(exchanges, self._judge)

    def _model(self, name: str) -> LinearModel:
        return self._artefacts[name].weights

    def _judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        threshold = self.info.threshold
        asked, replied = sides(exchanges)
        chances = np.empty(len(exchanges))
        chances[asked] = self._prompt_chances([prompt_text(exchanges[i]) for i in asked])
        chances[replied] = self.reply_chances([exchanges[i] for i in replied], threshold)
        return self.verdicts(exchanges, chances, threshold)

    def _prompt_chances(self, prompts: Sequence[str]) -> NDArray[np.float64]:
        read = readings(prompts)
        slope, bias = self._artefacts["prompt"].metadata["calibration"]
        return sigmoid(read.worst(self._model("prompt").scores([hashed(read.texts)])[:, 0] * slope + bias))

    def reply_chances(self, exchanges: Sequence[Exchange], threshold: float) -> NDArray[np.float64]:
        """Return the (exchanges,) chances of harm of replies, which are withheld from ``threshold``.

        One threshold serves prompts and replies, so the log-odds move from the one that replies have to it.
        """
        prompts = self.prompt_scores([prompt_text(exchange) for exchange in exchanges])
        views = harm_views([exchange.reply or "" for exchange in exchanges])
        replies = np.clip(self._model("reply").scores(views)[:, 0], -LIMIT, LIMIT)
        fitted = self._artefacts["reply"].metadata
        weights, own = fitted["context"], fitted["threshold"]
        total = weights["prompt"] * prompts + weights["reply"] * replies + weights["bias"]
        return sigmoid(total + _logit(threshold) - _logit(own))

    def prompt_scores(self, prompts: Sequence[str]) -> NDArray[np.float64]:
        """Return the (prompts,) log-odds of harm, not calibrated, cut to +-``LIMIT``."""
        return np.clip(self._model("prompt").scores([hashed(prompts)])[:, 0], -LIMIT, LIMIT)

    def verdicts(
        self,
        exchanges: Sequence[Exchange],
        chances: NDArray[np.float64],
        threshold: float,
        *,
        rule: str = "embedded",
        words: bool = True,
    ) -> list[Verdict]:
        """Return the verdict on each exchange; what ``rule`` finds unsafe gets its hazard and driving words.

        Without ``words`` the finding is the whole text.
        """
        found = [Verdict(outcome=Outcome.SAFE, score=chance) for chance in chances.tolist()]
        unsafe = np.flatnonzero(chances >= threshold).tolist()
        for i, verdict in zip(
            unsafe,
            self._unsafe([exchanges[i] for i in unsafe], chances[unsafe].tolist(), rule, words),
            strict=True,
        ):
            found[i] = verdict
        return found

    def _unsafe(
        self, exchanges: Sequence[Exchange], chances: Sequence[float], rule: str, words: bool
    ) -> list[Verdict]:
        texts = [exchange.prompt if exchange.reply is None else exchange.reply for exchange in exchanges]
        hazards = self._namer.name(texts)
        replied = [exchange.reply is not None for exchange in exchanges]
        driving = self._driving_words(texts, replied) if words else [[]] * len(exchanges)
        return [_unsafe(*each, rule, words) for each in zip(texts, chances, hazards, driving, strict=True)]

    def _driving_words(self, texts: Sequence[str], replied: Sequence[bool]) -> list[list[tuple[int, int]]]:
        """Return the words of each text that speak most for harm; hashed all at once, which is faster."""
        texts = [text[:MAX_EXPLAINED] for text in texts]
        spans = words(texts)
        found: list[list[tuple[int, int]]] = [[] for _ in texts]
        for head, view in (("prompt", ()), ("reply", (REPLY_BITS, WHOLE))):
            group = [i for i, is_reply in enumerate(replied) if is_reply == (head == "reply")]
            pieces = [texts[i][start:end] for i in group for start, end in spans[i]]
            if pieces:
                unique = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
                evidence = self._model(head).evidence(hashed(list(unique), *view), 0)
                evidence = evidence[[unique[piece] for piece in pieces]]
                ends = np.cumsum([len(spans[i]) for i in group])
                for i, part in zip(group, np.split(evidence, ends[:-1]), strict=True):
                    best = [int(at) for at in np.argsort(-part, kind="stable")[:TOP_WORDS] if part[at] > 0]
                    found[i] = [spans[i][at] for at in sorted(best)]
        return found


def embedded() -> EmbeddedGuard:
    """Return the embedded guard with the shipped weights, which are read at its first use."""
    return EmbeddedGuard()


def sides(exchanges: Sequence[Exchange]) -> tuple[list[int], list[int]]:
    """Return the places of prompts without a reply, and of those with one."""
    replied = [i for i, exchange in enumerate(exchanges) if exchange.reply is not None]
    return [i for i, exchange in enumerate(exchanges) if exchange.reply is None], replied


def _unsafe(
    text: str, chance: float, hazard: Named, driving: list[tuple[int, int]], rule: str, words: bool
) -> Verdict:
    found = driving or [(0, len(text))]
    return Verdict(
        outcome=Outcome.UNSAFE,
        score=chance,
        findings=tuple(Finding(hazard=hazard.key, rule=rule, span=span, score=chance) for span in found),
        labels=hazard.labels,
        reason=f"likely {_name(hazard.key)}"
        + (f"; driven by: {', '.join(text[start:end] for start, end in found)[:120]}" if words else ""),
    )


@cache
def _name(hazard: str) -> str:
    return taxonomy.load().hazard(hazard).name


def _logit(chance: float) -> float:
    return math.log(chance / (1 - chance))
