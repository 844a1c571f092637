"""Lines over the layers of a model, or over any other numbered steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harmless.report.charts.scale import Scale

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 58, 622, 34, 290
KINDS = 6
"""Ways to draw a line that people tell apart; further lines take them again."""


@dataclass(frozen=True, slots=True)
class Line:
    """A named line: which way it is drawn, its SVG path, and its marks (x, y, title)."""

    name: str
    kind: int
    path: str
    marks: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines with their axes, and what the axes mean."""

    x: Scale
    y: Scale
    across: str
    up: str
    lines: tuple[Line, ...]


def plot(
    places: Sequence[float],
    lines: Mapping[str, Sequence[float | None]],
    *,
    across: str,
    up: str,
    ends: tuple[float, float] | None = None,
) -> Plot | None:
    """Return lines by name over ``places``; None where there is nothing to draw.

    ``ends`` are the ends of the upright axis; None takes those of the values. A value of None leaves a gap out.
    """
    known = [value for values in lines.values() for value in values if value is not None]
    if len(places) < 2 or not known:
        return None
    low, high = ends or (min(known), max(known))
    if low == high:
        low, high = low - 0.5, high + 0.5
    x, y = Scale(min(places), max(places), LEFT, RIGHT), Scale(low, high, BOTTOM, TOP)
    drawn = []
    for number, (name, values) in enumerate(lines.items()):
        points = [(a, b) for a, b in zip(places, values, strict=True) if b is not None]
        if not points:
            continue
        path = "M" + "L".join(f"{x(a):g} {y(b):g}" for a, b in points)
        marks = tuple((x(a), y(b), f"{name}: {a:g}, {b:.3f}") for a, b in points)
        drawn.append(Line(name, number % KINDS, path, marks))
    return Plot(x, y, across, up, tuple(drawn))
