"""Helpful against harmless: one mark a target, and the line of those that no other beats.

As in Bai et al., "Constitutional AI" (2022, arXiv:2212.08073), figure 2, with shares in place of Elo scores.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from harmless.align.proof import Proof, Standing
from harmless.check import Rate
from harmless.report.charts.scale import Scale

WIDTH, HEIGHT = 640, 460
LEFT, RIGHT, TOP, BOTTOM = 64, 612, 44, 396

#: Shares at which an axis may begin.
_STARTS = (0.95, 0.9, 0.8, 0.6, 0.5, 0.4, 0.2, 0.0)


@dataclass(frozen=True, slots=True)
class Mark:
    """One target: its number and name, its point, and the bars of its intervals, in SVG units."""

    number: int
    name: str
    x: float
    y: float
    x_low: float
    x_high: float
    y_low: float
    y_high: float
    first: bool
    on_front: bool


@dataclass(frozen=True, slots=True)
class Front:
    """Axes, marks and the path of the front, empty for fewer than two targets on it."""

    x: Scale
    y: Scale
    marks: tuple[Mark, ...]
    path: str


def front(proof: Proof) -> Front | None:
    """Return the chart; None if no target has both rates. Up and to the right is better."""
    known = [
        (number, each)
        for number, each in enumerate(proof.standings, 1)
        if each.unsafe.rate is not None and each.over_refusal.rate is not None
    ]
    if not known:
        return None
    x = Scale(_start(1 - each.over_refusal.high for _, each in known), 1, LEFT, RIGHT)
    y = Scale(_start(1 - each.unsafe.high for _, each in known), 1, BOTTOM, TOP)
    marks = tuple(_mark(number, each, x, y) for number, each in known)
    best = sorted((mark for mark in marks if mark.on_front), key=lambda mark: (mark.x, -mark.y))
    steps = [f"M{best[0].x:g} {best[0].y:g}"] if best else []
    for before, after in pairwise(best):
        # Between two targets nothing better is known than the worse of both: a step, not a slope.
        steps.append(f"V{after.y:g}H{after.x:g}" if after.y != before.y else f"H{after.x:g}")
    return Front(x, y, marks, "".join(steps) if len(best) > 1 else "")


def _mark(number: int, each: Standing, x: Scale, y: Scale) -> Mark:
    helpful, harmless = _turned(each.over_refusal), _turned(each.unsafe)
    return Mark(
        number,
        each.target,
        x(helpful[1]),
        y(harmless[1]),
        x(helpful[0]),
        x(helpful[2]),
        y(harmless[0]),
        y(harmless[2]),
        first=number == 1,
        on_front=each.on_front,
    )


def _turned(rate: Rate) -> tuple[float, float, float]:
    """Return low limit, share and high limit of what did not happen."""
    return 1 - rate.high, 1 - (rate.rate or 0.0), 1 - rate.low


def _start(lows: Iterable[float]) -> float:
    least = min(lows)
    return next(start for start in _STARTS if start <= max(least, 0.0))
