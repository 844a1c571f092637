"""``profanity``: swear words and slurs, also where they are disguised.

A linear model over the character n-grams of every piece of a text (see :mod:`harmless.guards.disguise`); the
text is as profane as its most profane piece, so its length does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from harmless.core.exchange import Exchange
from harmless.core.protocols import GuardInfo
from harmless.core.verdict import Finding, Outcome, Verdict
from harmless.guards.batches import judge_each
from harmless.guards.disguise import pieces, scores
from harmless.guards.linear import Artefact, sigmoid
from harmless.guards.linear import shipped as shipped_artefact

HAZARD = "salad.t.O1"
MAX_FINDINGS = 20


class ProfanityGuard:
    """Judges the reply where there is one, otherwise the last user message.

    The score is the calibrated probability that the most profane piece is profane; the findings are the
    pieces at
    or above the threshold, each with its span and own score. Quoting a word is not told apart from using it.
    """

    def __init__(self, artefact: Artefact | None = None) -> None:
        self._given = artefact

    @cached_property
    def _artefact(self) -> Artefact:
        return self._given or shipped_artefact("profanity")

    @property
    def info(self) -> GuardInfo:
        """Name, revision (digest of the artefact), the hazard and the threshold."""
        return GuardInfo(
            name="profanity",
            revision=self._artefact.revision,
            sees="both",
            threshold=self._artefact.metadata["threshold"],
            hazards=(HAZARD,),
            licence=self._artefact.metadata["licence"],
        )

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; never raises for one bad item."""
        return judge_each(exchanges, self._judge)

    def _judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        texts = [exchange.prompt if exchange.reply is None else exchange.reply for exchange in exchanges]
        found = [pieces(text) for text in texts]
        slope, bias = self._artefact.metadata["calibration"]
        everything = [piece.text for each in found for piece in each]
        chances = sigmoid(scores(self._artefact.weights, everything) * slope + bias).tolist()
        threshold = float(self._artefact.metadata["threshold"])
        verdicts, at = [], 0
        for text, each in zip(texts, found, strict=True):
            spans = [(*piece.span, chance) for piece, chance in zip(each, chances[at:], strict=False)]
            at += len(each)
            verdicts.append(_verdict(text, spans, threshold))
        return verdicts


def _verdict(text: str, spans: Sequence[tuple[int, int, float]], threshold: float) -> Verdict:
    score = max((chance for *_, chance in spans), default=0.0)
    if score < threshold:
        return Verdict(outcome=Outcome.SAFE, score=score)
    kept: list[tuple[int, int, float]] = []
    for start, end, chance in sorted(spans, key=lambda span: (-span[2], span[1] - span[0])):
        if chance >= threshold and all(end <= left or right <= start for left, right, _ in kept):
            kept.append((start, end, chance))
    findings = [
        Finding(hazard=HAZARD, rule="profanity", span=(start, end), score=chance)
        for start, end, chance in sorted(kept)[:MAX_FINDINGS]
    ]
    words = ", ".join(text[start:end] for start, end, _ in sorted(kept)[:3])
    return Verdict(
        outcome=Outcome.UNSAFE, score=score, findings=tuple(findings), reason=f"profane: {words[:120]}"
    )


def profanity() -> ProfanityGuard:
    """Return the profanity guard with the shipped weights, which are read at its first use."""
    return ProfanityGuard()


def text_scores(artefact: Artefact, texts: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the linear score of the most profane piece of every text, minus infinity where there is none."""
    found = [pieces(text) for text in texts]
    every = scores(artefact.weights, [piece.text for each in found for piece in each])
    ends = np.cumsum([len(each) for each in found])
    return np.array([part.max(initial=-np.inf) for part in np.split(every, ends[:-1])])
