"""Judge a batch so that one bad item costs only that item."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harmless.core.exchange import Exchange
from harmless.core.verdict import Verdict


def judge_each(
    exchanges: Sequence[Exchange], vectorised: Callable[[Sequence[Exchange]], list[Verdict]]
) -> list[Verdict]:
    """Return one verdict an exchange; if the batch as a whole fails, every item is tried on its own.

    An item that fails alone is unassessed with the exception as the cause.
    """
    try:
        return vectorised(exchanges)
    except Exception as cause:
        if len(exchanges) == 1:
            return [Verdict.unassessed(f"{type(cause).__name__}: {cause}")]
        return [verdict for exchange in exchanges for verdict in judge_each([exchange], vectorised)]
