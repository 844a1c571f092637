"""Lines of several guards in a unit square: ROC curves and reliability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harmless.guards.bench import GuardResult
from harmless.guards.bench.model import Cascading
from harmless.report.charts.scale import Scale

WIDTH, HEIGHT = 520, 460
LEFT, RIGHT, TOP, BOTTOM = 52, 504, 34, 404
X = Scale(0, 1, LEFT, RIGHT)
Y = Scale(0, 1, BOTTOM, TOP)
KINDS = 6
"""Ways to draw a line that people tell apart; further guards take them again."""


@dataclass(frozen=True, slots=True)
class Line:
    """The line of one guard: an SVG path, its marks (x, y, radius, title) and which way it is drawn."""

    name: str
    kind: int
    path: str
    marks: tuple[tuple[float, float, float, str], ...]


def roc(guards: Sequence[GuardResult]) -> list[Line]:
    """Return recall against the false-positive rate, each with a mark where the guard's threshold puts it."""
    lines = []
    for number, guard in enumerate(guards):
        if not guard.curve:
            continue
        at, found = guard.measures["fpr"].value, guard.measures["recall"].value
        known = at is not None and found is not None
        mark = (X(at or 0), Y(found or 0), 6.0, f"{guard.spec} at its threshold") if known else None
        lines.append(Line(guard.spec, number % KINDS, _path(guard.curve), (mark,) if mark else ()))
    return lines


def reliability(guards: Sequence[GuardResult]) -> list[Line]:
    """Return the share of unsafe rows against the mean score of each bin; larger marks have more rows."""
    lines = []
    for number, guard in enumerate(guards):
        bins = [each for each in guard.reliability if each.rows]
        if not bins:
            continue
        most = max(each.rows for each in bins)
        marks = tuple(
            (
                X(each.score),
                Y(each.unsafe),
                round(2.5 + 5 * (each.rows / most) ** 0.5, 1),
                f"{guard.spec}: {each.rows} rows of mean score {each.score:.2f}, {each.unsafe:.0%} unsafe",
            )
            for each in bins
        )
        path = _path([(each.score, each.unsafe) for each in bins])
        lines.append(Line(guard.spec, number % KINDS, path, marks))
    return lines


def cascades(found: Sequence[Cascading]) -> list[Line]:
    """Return F1 against the share of rows that the expensive guard judges, with a mark for each band."""
    lines = []
    for number, each in enumerate(found):
        known = [(step, f1) for step in each.steps if (f1 := step.measures["f1"].value) is not None]
        if not known:
            continue
        marks = tuple(
            (X(step.escalated), Y(f1), 4.0, f"{step.escalated:.0%} escalated, F1 {f1:.3f}")
            for step, f1 in known
        )
        name = f"{each.cheap}, then {each.expensive}"
        lines.append(Line(name, number % KINDS, _path([(step.escalated, f1) for step, f1 in known]), marks))
    return lines


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{X(x):g} {Y(y):g}" for x, y in points)
