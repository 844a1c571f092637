"""Tier 2 of the embedded guard: a small fine-tuned sentence encoder, by itself or averaged with tier 1.

The encoder reads word order and paraphrase, which the n-grams of tier 1 cannot; tier 1 knows strings that the
encoder has never seen. Both say log-odds of harm, calibrated on rows that neither was trained on. The encoder
has learnt prompts only, so replies are judged by tier 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harmless.core.exchange import Exchange
from harmless.core.protocols import GuardInfo
from harmless.core.verdict import Verdict
from harmless.errors import UsageError
from harmless.guards import bert
from harmless.guards.batches import judge_each
from harmless.guards.bert import Encoder
from harmless.guards.embedded import EmbeddedGuard, sides
from harmless.guards.linear import sigmoid
from harmless.guards.reading import readings
from harmless.guards.views import prompt_text

NAME, ALONE = "encoder", "alone"
#: Says in the revision that replies are judged, too.
REPLIES = "replies"


class EncoderGuard:
    """Judges prompts, the last user message after the earlier ones; a reply is judged as tier 1 does.

    Tier 2 by itself (``alone``) judges prompts only. The score is a calibrated probability of harm on data that
    is half harmful. What is flagged gets findings of tier 1: the most likely SALAD-Bench domain and, where both
    tiers judge, the words that drove its score.
    """

    def __init__(self, encoder: Encoder, first: EmbeddedGuard | None = None, *, alone: bool = False) -> None:
        self._encoder, self._first, self._alone = encoder, first or EmbeddedGuard(), alone
        self._fitted = encoder.metadata["alone" if alone else "both"]

    @property
    def info(self) -> GuardInfo:
        """Name, revision of what judges, the six domains, and the threshold fixed in training."""
        first = self._first.info
        return GuardInfo(
            name=f"{NAME}({ALONE})" if self._alone else NAME,
            revision=f"{self._encoder.revision}-{first.revision}" + ("" if self._alone else f"-{REPLIES}"),
            family=first.family,
            sees="prompt" if self._alone else "both",
            threshold=self._fitted["threshold"],
            hazards=first.hazards,
            licence=self._encoder.metadata["licence"],
            needs=(f"extra {bert.EXTRA}",),
        )

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; never raises for one bad item."""
        return judge_each(exchanges, self._judge)

    def _judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        threshold = self._fitted["threshold"]
        asked, replied = (list(range(len(exchanges))), []) if self._alone else sides(exchanges)
        chances = np.empty(len(exchanges))
        chances[asked] = self._chances([prompt_text(exchanges[i]) for i in asked])
        chances[replied] = self._first.reply_chances([exchanges[i] for i in replied], threshold)
        # The finding of the encoder by itself is the whole prompt, whatever was replied.
        judged = [Exchange(conversation=each.conversation) for each in exchanges] if self._alone else exchanges
        return self._first.verdicts(judged, chances, threshold, rule=NAME, words=not self._alone)

    def _chances(self, texts: Sequence[str]) -> NDArray[np.float64]:
        read = readings(texts)
        total = self._fitted["encoder"] * self._encoder.scores(read.texts) + self._fitted["bias"]
        if not self._alone:
            total = total + self._fitted["prompt"] * self._first.prompt_scores(read.texts)
        return sigmoid(read.worst(total))


def encoder(how: str = "") -> EncoderGuard:
    """Return both tiers averaged; ``encoder(alone)`` is tier 2 by itself.

    Raises:
        MissingExtraError: onnxruntime or tokenizers is not installed.
        UsageError: ``how`` is neither empty nor ``alone``.
    """
    if how not in ("", ALONE):
        raise UsageError(f"'encoder({how})' is not known.", "Write encoder, or encoder(alone) without tier 1.")
    bert.require(f"Guard '{NAME}'")
    return EncoderGuard(bert.shipped(NAME), alone=how == ALONE)
