"""From events of rows to rates and measures with their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from harmless.check.observed import Event, Row
from harmless.check.summary import Measure, Rate
from harmless.core import Expect
from harmless.stats import ClusteredMean, Interval, clustered_mean, clustered_rate


def rate_of(
    rows: Iterable[Row], event: Callable[[Row], Event], confidence: float, sequence: Interval | None = None
) -> Rate:
    """Return the share of rows with an event; rows where it is None are unassessed and widen the interval.

    ``sequence`` is the interval of a confidence sequence, for a run that may stop early: it then takes the
    place of the fixed-sample interval, which is not valid there.
    """
    rows = list(rows)
    values = np.array([math.nan if (seen := event(row)) is None else float(seen) for row in rows])
    found = clustered_rate(values, _clusters(rows), confidence)
    low, high = (sequence.low, sequence.high) if sequence else (found.low, found.high)
    return Rate(
        rate=found.rate if found.known else None, low=low, high=high, n=found.n, unassessed=found.unassessed
    )


def accuracy_of(rows: Iterable[Row], confidence: float) -> Rate:
    """Return the share of right choices; an answer that cannot be read is not right (SALAD-Bench's Acc-O)."""
    questions = (row for row in rows if row.prompt.expect is Expect.CHOOSE and row.prompt.correct)
    return rate_of(questions, lambda row: row.right, confidence)


def share(name: str, rows: Iterable[Row], event: Callable[[Row], Event], confidence: float) -> Measure:
    """Return the share of rows with an event as a measure; see :func:`rate_of`."""
    rate = rate_of(rows, event, confidence)
    return Measure(name=name, value=rate.rate, **rate.model_dump(include={"low", "high", "n", "unassessed"}))


def mean(
    name: str,
    rows: Iterable[Row],
    value: Callable[[Row], float | None],
    confidence: float,
    span: tuple[float, float] = (-math.inf, math.inf),
) -> Measure:
    """Return the mean of a value of the rows, which lies in ``span``, as a measure.

    The limits are cluster-robust t limits, cut at the span. Rows without a value are unassessed: the low limit
    takes them at the low end of the span, the high limit at the high end; an infinite end leaves them out.
    """
    rows = list(rows)
    values = np.array([math.nan if (seen := value(row)) is None else seen for row in rows], dtype=float)
    clusters, known = _clusters(rows), ~np.isnan(values)
    if not known.any():
        return Measure(name=name, value=None, low=None, high=None, n=0, unassessed=len(rows), unit="score")

    def with_missing_at(end: float) -> ClusteredMean:
        filled = np.where(known, values, end)
        used = np.isfinite(filled)
        return clustered_mean(filled[used], clusters[used], confidence)

    found = float(values[known].mean())
    low, high = max(with_missing_at(span[0]).low, span[0]), min(with_missing_at(span[1]).high, span[1])
    return Measure(
        name=name,
        value=found,
        low=min(low, found) if math.isfinite(low) else None,
        high=max(high, found) if math.isfinite(high) else None,
        n=int(known.sum()),
        unassessed=int((~known).sum()),
        unit="score",
    )


def _clusters(rows: Sequence[Row]) -> NDArray[np.object_]:
    names = [row.prompt.cluster or row.prompt.pair or row.prompt.id for row in rows]
    return np.array(names, dtype=object)
