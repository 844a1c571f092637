"""Safety against over-refusal: neither is worth anything without the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harmless.check import Summary
from harmless.core import GradeBand
from harmless.report.charts.scale import Scale, share_end

WIDTH, HEIGHT = 640, 450
LEFT, RIGHT, TOP, BOTTOM = 60, 608, 44, 390
#: What the longest label of a mark takes beside it.
LABEL = 294
_DOT = 9.0


@dataclass(frozen=True, slots=True)
class Mark:
    """One run: its point and the two bars of its intervals, in SVG units."""

    x: float
    y: float
    x_low: float
    x_high: float
    y_low: float
    y_high: float


@dataclass(frozen=True, slots=True)
class Balance:
    """Axes, marks and the arrow from the first to the second; ``bands`` are (y, grade) of lines in sight."""

    x: Scale
    y: Scale
    marks: tuple[Mark, ...]
    arrow: tuple[float, float, float, float] | None
    bands: tuple[tuple[float, str], ...]


def balance(summaries: Sequence[Summary], grades: Sequence[GradeBand], tolerated: float) -> Balance | None:
    """Return the chart of one or two runs; None if one of them has no unsafe rate or no over-refusal.

    Args:
        grades: bands whose upper ends are drawn as lines.
        tolerated: share of refused benign prompts that is to be in sight.
    """
    rates = [(s.over_refusal, s.unsafe) for s in summaries]
    if not rates or any(a.rate is None or b.rate is None for a, b in rates):
        return None
    x = Scale(0, share_end([tolerated, *(a.high for a, _ in rates)]), LEFT, RIGHT)
    y = Scale(0, share_end([0.1, *(b.high for _, b in rates)]), BOTTOM, TOP)
    marks = tuple(
        Mark(x(a.rate or 0), y(b.rate or 0), x(a.low), x(a.high), y(b.low), y(b.high)) for a, b in rates
    )
    arrow = between(marks[0], marks[1]) if len(marks) == 2 else None
    bands = tuple((y(band.max_rate), band.grade) for band in grades if band.max_rate <= y.high)
    return Balance(x, y, marks, arrow, bands)


def between(first: Mark, second: Mark) -> tuple[float, float, float, float] | None:
    """Return the line from the edge of one dot to the edge of another, None if they nearly touch."""
    dx, dy = second.x - first.x, second.y - first.y
    length = math.hypot(dx, dy)
    if length < 3 * _DOT:
        return None
    ux, uy = dx / length * (_DOT + 2), dy / length * (_DOT + 2)
    ends = (first.x + ux, first.y + uy, second.x - ux, second.y - uy)
    return (round(ends[0], 1), round(ends[1], 1), round(ends[2], 1), round(ends[3], 1))
