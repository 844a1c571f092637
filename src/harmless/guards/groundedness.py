"""``groundedness``: whether a reply says only what the given documents say.

The documents are the conversation's system messages, as for the guard models that judge groundedness.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harmless.core import Exchange, GuardInfo, Verdict, digest
from harmless.guards.asked import arguments
from harmless.guards.hallucination import HAZARD, support_of, verdict
from harmless.guards.support import Contained, Support, sentences

WINDOW = 5
"""Sentences of a document that are read at once by a model; by words the whole document is."""


class Groundedness:
    """Judges replies: each sentence against the passage of the documents that supports it best.

    By words (no model) a sentence's score is the share of its content words that the documents lack. With a
    ``support`` it is that measure's lowest over passages of ``WINDOW`` sentences. The score is the mean of the
    sentences'. Without documents or without a reply an exchange is unassessed.
    """

    def __init__(self, support: Support | None = None, *, leaves_machine: bool = False) -> None:
        self._support: Support = support or Contained()
        self._whole = support is None
        self._info = GuardInfo(
            name="groundedness",
            revision=digest(self._support.revision, WINDOW),
            sees="both",
            hazards=(HAZARD,),
            licence="Apache-2.0",
            leaves_machine=leaves_machine,
            batch_size=16,
        )

    @property
    def info(self) -> GuardInfo:
        """Name, revision (the measure) and whether it sends text out."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; never raises for one bad item."""
        return [await self._judge(exchange) for exchange in exchanges]

    async def _judge(self, exchange: Exchange) -> Verdict:
        try:
            text = exchange.reply or ""
            spans = sentences(text)
            documents = [m.content for m in exchange.conversation if m.role == "system" and m.content.strip()]
            if not spans or not documents:
                return Verdict.unassessed(
                    "no reply to judge" if not spans else "no documents in a system message"
                )
            passages = ["\n".join(documents)] if self._whole else [p for d in documents for p in _passages(d)]
            table = await self._support.measure([text[start:end] for start, end in spans], passages)
            if np.isnan(table).all(axis=1).any():
                return Verdict.unassessed("a sentence could not be compared with any passage")
            return verdict(spans, np.nanmin(table, axis=1).tolist(), "groundedness", HAZARD)
        except Exception as error:
            return Verdict.unassessed(f"{type(error).__name__}: {error}")


def _passages(document: str) -> list[str]:
    """Return passages of ``WINDOW`` sentences that overlap by one."""
    spans = sentences(document)
    firsts = range(0, max(len(spans) - 1, 1), WINDOW - 1)
    return [document[spans[i][0] : spans[min(i + WINDOW, len(spans)) - 1][1]] for i in firsts if spans]


def groundedness(*given: str) -> Groundedness:
    """Return the guard of ``groundedness``, ``groundedness(nli=FOLDER)`` or ``groundedness(judge=TARGET)``."""
    support, remote = support_of(arguments("groundedness", given, ("nli", "judge")), strict=True)
    return Groundedness(support, leaves_machine=remote)
