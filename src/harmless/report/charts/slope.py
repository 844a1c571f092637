"""Before and after: one line for each domain or task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from harmless.check import Rate
from harmless.report.charts.scale import Scale, apart, share_end

WIDTH = 900
LEFT, RIGHT, TOP = 344, 556, 40
_GAP = 18.0
Direction: TypeAlias = Literal["fell", "rose", "same"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line with the places of its labels and of the intervals at its ends, in SVG units.

    ``whole`` is the line of all replies together.
    """

    name: str
    direction: Direction
    before: Rate
    after: Rate
    y1: float
    y2: float
    label1: float
    label2: float
    range1: tuple[float, float]
    range2: tuple[float, float]
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Slope:
    """The lines, the scale and the height of the chart."""

    y: Scale
    height: float
    lines: tuple[Line, ...]


def slope(rows: Sequence[tuple[str, Rate, Rate]], whole: str = "") -> Slope | None:
    """Return the chart of (name, rate before, rate after); rows without a rate are left out.

    ``whole`` is the name of the row of all replies together. None if no row is left.
    """
    known = [row for row in rows if row[1].rate is not None and row[2].rate is not None]
    if not known:
        return None
    bottom = TOP + max(280.0, len(known) * (_GAP + 6))
    rates = [rate.rate or 0.0 for _, *pair in known for rate in pair]
    y = Scale(0, share_end(rates), bottom, TOP)
    ends = [[y(row[side].rate or 0.0) for row in known] for side in (1, 2)]  # type: ignore[union-attr]
    labels = [apart(places, _GAP, TOP, bottom) for places in ends]
    lines = tuple(
        Line(
            name, direction(before, after), before, after,
            ends[0][i], ends[1][i], labels[0][i], labels[1][i],
            (y(before.high), y(before.low)), (y(after.high), y(after.low)), name == whole,
        )
        for i, (name, before, after) in enumerate(known)
    )  # fmt: skip
    return Slope(y, bottom + 24, lines)


def direction(before: Rate, after: Rate) -> Direction:
    """Return which way a rate went, at the precision that is shown (0.1 points)."""
    if before.rate is None or after.rate is None:
        return "same"
    moved = round(100 * after.rate, 1) - round(100 * before.rate, 1)
    return "same" if moved == 0 else "fell" if moved < 0 else "rose"
