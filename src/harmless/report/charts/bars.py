"""A rate with its interval as a small bar on the way from 0 to 100 %."""

from __future__ import annotations

from dataclasses import dataclass

from harmless.check import Rate
from harmless.report.charts.scale import Scale


@dataclass(frozen=True, slots=True)
class Bar:
    """Left end and width of the interval and place of the rate; ``rate`` is None where it is not known."""

    low: float
    width: float
    rate: float | None


def bar(rate: Rate, length: float, high: float = 1.0) -> Bar:
    """Return the bar of ``rate`` on a line of ``length`` SVG units that ends at the share ``high``."""
    place = Scale(0, high, 0, length)
    low, end = place(rate.low), place(rate.high)
    return Bar(low, round(max(end - low, 1.0), 2), None if rate.rate is None else place(rate.rate))
