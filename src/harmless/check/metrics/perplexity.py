"""How surprised a model is by plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harmless.check.likelihood import log_likelihoods, token_counts
from harmless.check.observed import Row
from harmless.check.outcomes import CHOICE
from harmless.check.summary import Measure
from harmless.stats import clustered_mean


def measures(rows: Sequence[Row], confidence: float) -> list[Measure]:
    """Return the perplexity a token of all texts together (Jelinek et al. 1977), lower is better.

    The limits are those of the mean surprise (nats) a token, where each text weighs as many tokens as it has
    and is one cluster. Texts that could not be scored are unassessed and left out.
    """
    known = [found for row in rows if (found := surprise(row)) is not None]
    unassessed = len(rows) - len(known)
    if not known:
        return [_measure(None, None, None, 0, unassessed)]
    nats, tokens = (np.array(each, dtype=float) for each in zip(*known, strict=True))
    mean = float(nats.sum() / tokens.sum())
    # The ratio of two sums, made linear: each text adds its residual to the mean.
    spread = clustered_mean(mean + (nats - mean * tokens) / tokens.mean(), np.arange(len(known)), confidence)
    low, high = (math.exp(end) if math.isfinite(end) else None for end in (spread.low, spread.high))
    return [_measure(math.exp(mean), low, high, len(known), unassessed)]


def surprise(row: Row) -> tuple[float, float] | None:
    """Return the negative log-likelihood (nats) of the row's text and its tokens, None if it was not scored."""
    logs, tokens = log_likelihoods(row.verdicts[CHOICE]), token_counts(row.verdicts[CHOICE])
    return None if logs is None or tokens is None or not tokens[0] else (-logs[0], tokens[0])


def _measure(value: float | None, low: float | None, high: float | None, n: int, unassessed: int) -> Measure:
    return Measure(name="perplexity", value=value, low=low, high=high, n=n, unassessed=unassessed, unit="score")
