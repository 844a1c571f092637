"""From values to places on a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Shares at which an axis may end.
_ENDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from ``low`` to ``high`` linearly onto ``start`` to ``end`` (SVG units; either may rise)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of ``value``; what lies outside is put on the edge."""
        inside = min(max(value, self.low), self.high)
        share = (inside - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self, about: int = 5) -> list[float]:
        """Return round values from ``low`` to ``high``, about so many steps."""
        raw = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
        count = math.floor((self.high - self.low) / step + 1e-9)
        return [round(self.low + i * step, 10) for i in range(count + 1)]


def share_end(values: Sequence[float]) -> float:
    """Return the end of an axis of shares that holds all ``values`` and some room; never beyond 1."""
    most = max(values, default=0.0)
    return next((end for end in _ENDS if most * 1.05 <= end), 1.0)


def apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places near the given ones, at least ``gap`` from each other, within ``low`` to ``high``.

    Keeps the order of ``places``. Crowded places are moved as a block around their common centre (pool adjacent
    violators), so the sum of squared moves is least. If there is no room for all, the gap shrinks.
    """
    if not places:
        return []
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    gap = min(gap, (high - low) / max(len(places) - 1, 1))
    blocks: list[list[float]] = []  # each: sum of wished starts, number of members
    for rank, i in enumerate(order):
        blocks.append([places[i] - rank * gap, 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + count]
    starts = [total / count for total, count in blocks for _ in range(int(count))]
    last = high - (len(places) - 1) * gap
    found = [0.0] * len(places)
    for rank, i in enumerate(order):
        found[i] = round(min(max(starts[rank], low), last) + rank * gap, 2)
    return found
