"""Judge in batches, so that memory is bounded and one bad item costs only that item."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harmless.core.exchange import Exchange
from harmless.core.verdict import Verdict

BATCH = 512
"""Exchanges that are judged at once: more are no faster, and take memory for the n-grams of all of them."""


def judge_each(
    exchanges: Sequence[Exchange], vectorised: Callable[[Sequence[Exchange]], list[Verdict]]
) -> list[Verdict]:
    """Return one verdict an exchange, judged ``BATCH`` at a time.

    If a batch as a whole fails, each of its items is tried on its own. An item that fails alone is unassessed
    with the exception as the cause.
    """
    starts = range(0, len(exchanges), BATCH)
    return [verdict for at in starts for verdict in _judged(exchanges[at : at + BATCH], vectorised)]


def _judged(
    batch: Sequence[Exchange], vectorised: Callable[[Sequence[Exchange]], list[Verdict]]
) -> list[Verdict]:
    try:
        return vectorised(batch)
    except Exception as cause:
        if len(batch) == 1:
            return [Verdict.unassessed(f"{type(cause).__name__}: {cause}")]
        return [verdict for exchange in batch for verdict in _judged([exchange], vectorised)]
