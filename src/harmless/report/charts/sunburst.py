"""The taxonomy as rings: domains inside, tasks around them, hazards outside; every hazard equally wide."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass

from harmless.taxonomy import Hazard, Level, Taxonomy

SIZE = 960
CENTRE = SIZE / 2
RINGS = {Level.DOMAIN: (88.0, 190.0), Level.TASK: (190.0, 246.0), Level.CATEGORY: (246.0, 322.0)}
"""Inner and outer radius of each level, in SVG units."""

_LABEL_GAP = 7.0
_LABEL_LENGTH = 26
_LINE_HEIGHT = 14.0
_CHARACTER = 6.6
"""Mean width of a character of a label, in SVG units."""


@dataclass(frozen=True, slots=True)
class Arc:
    """One ring segment, clockwise from 12 o'clock.

    ``start`` and ``end`` are in degrees; ``path`` is its outline; ``x`` and ``y`` its middle. A hazard has one
    line outside the ring at ``turn`` degrees, anchored at ``anchor``; a domain has its name in lines inside.
    """

    hazard: Hazard
    start: float
    end: float
    inner: float
    outer: float
    path: str
    x: float
    y: float
    lines: tuple[str, ...]
    turn: float = 0.0
    anchor: str = "middle"

    @property
    def span(self) -> float:
        """Its angle in degrees."""
        return self.end - self.start


def sunburst(taxonomy: Taxonomy) -> list[Arc]:
    """Return the arcs of all hazards, each level in the taxonomy's order."""
    width = 360 / len(taxonomy.leaves)
    arcs: list[Arc] = []
    for level in (Level.DOMAIN, Level.TASK, Level.CATEGORY):
        start = 0.0
        for hazard in _in_order(taxonomy, level):
            end = start + width * len(taxonomy.leaves_under(hazard.key))
            arcs.append(_arc(hazard, start, end))
            start = end
    return arcs


def _in_order(taxonomy: Taxonomy, level: Level) -> list[Hazard]:
    """Return the hazards of a level so that each lies under its parent."""
    found = list(taxonomy.domains)
    while found and found[0].level is not level:
        found = [child for hazard in found for child in taxonomy.children(hazard.key)]
    return found


def _arc(hazard: Hazard, start: float, end: float) -> Arc:
    inner, outer = RINGS[hazard.level]
    middle = (start + end) / 2
    path = ring_segment(start, end, inner, outer)
    if hazard.level is Level.CATEGORY:
        x, y = _point(middle, outer + _LABEL_GAP)
        right = middle < 180
        label = textwrap.shorten(hazard.name, _LABEL_LENGTH, placeholder="…")
        return Arc(
            hazard, start, end, inner, outer, path, x, y, (label,),
            turn=round(middle - 90 if right else middle + 90, 2), anchor="start" if right else "end",
        )  # fmt: skip
    x, y = _point(middle, (inner + outer) / 2)
    lines: tuple[str, ...] = ()
    if hazard.level is Level.DOMAIN:
        lines = tuple(textwrap.wrap(hazard.name, _room(middle, end - start, inner, outer)))
    return Arc(hazard, start, end, inner, outer, path, x, y, lines)


def _room(middle: float, span: float, inner: float, outer: float) -> int:
    """Return how many characters of level text fit across a segment at its middle."""
    chord = 2 * (inner + outer) / 2 * math.sin(math.radians(min(span, 180) / 2))
    tilt = abs(math.sin(math.radians(middle)))  # 1 where the segment lies to the left or right
    across = (outer - inner) * tilt + chord * (1 - tilt)
    return max(int(across / _CHARACTER), 11)


def ring_segment(start: float, end: float, inner: float, outer: float) -> str:
    """Return the SVG path of a ring segment, degrees clockwise from 12 o'clock; less than a full turn."""
    large = int(end - start > 180)
    (ax, ay), (bx, by) = _point(start, outer), _point(end, outer)
    (cx, cy), (dx, dy) = _point(end, inner), _point(start, inner)
    return (
        f"M{ax:g} {ay:g}A{outer:g} {outer:g} 0 {large} 1 {bx:g} {by:g}"
        f"L{cx:g} {cy:g}A{inner:g} {inner:g} 0 {large} 0 {dx:g} {dy:g}Z"
    )


def _point(degrees: float, radius: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    return round(CENTRE + radius * math.sin(angle), 1), round(CENTRE - radius * math.cos(angle), 1)
