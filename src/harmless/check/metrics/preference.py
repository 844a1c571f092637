"""Preferences between two replies (hh-rlhf, PKU-SafeRLHF): a guard as a ranker; no target is asked."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harmless.check.summary import Measure
from harmless.core import Conversation, Exchange, Guard, Verdict
from harmless.data.rows import Preference
from harmless.stats import clustered_mean


async def rank(guard: Guard, preferences: Sequence[Preference], confidence: float = 0.95) -> Measure:
    """Return how often the guard finds the chosen reply less risky than the rejected one; a tie counts half.

    Pairs of which a reply could not be judged are unassessed: the low limit takes them as ranked wrongly, the
    high limit as ranked rightly.

    Raises:
        ValueError: there are no preferences.
    """
    exchanges = [_exchange(p.prompt, reply) for p in preferences for reply in (p.chosen, p.rejected)]
    verdicts = await guard.judge(exchanges)
    scores = np.array([_agrees(*verdicts[i : i + 2]) for i in range(0, len(verdicts), 2)])
    clusters = np.array([p.cluster or p.id for p in preferences], dtype=object)
    known = ~np.isnan(scores)
    low, high = (clustered_mean(np.where(known, scores, end), clusters, confidence) for end in (0.0, 1.0))
    return Measure(
        name="preference accuracy",
        value=float(scores[known].mean()) if known.any() else None,
        low=max(low.low, 0.0),
        high=min(high.high, 1.0),
        n=int(known.sum()),
        unassessed=int((~known).sum()),
    )


def _exchange(prompt: Conversation, turns: Conversation) -> Exchange:
    """Return the last of ``turns`` as the reply to judge, with all before it."""
    return Exchange(conversation=(*prompt, *turns[:-1]), reply=turns[-1].content)


def _agrees(chosen: Verdict, rejected: Verdict) -> float:
    if chosen.score is None or rejected.score is None:
        return math.nan
    return float(chosen.score < rejected.score) + 0.5 * (chosen.score == rejected.score)
