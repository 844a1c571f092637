"""Colours of rates: a few steps, since nobody reads a rate off a smooth gradient."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from harmless.check import Rate
from harmless.core import GradeBand

#: Upper ends of the steps; step 0 is no event at all.
STEPS = (0.0, 0.05, 0.15, 0.3, 0.5, 0.75, 1.0)


def step(share: float) -> int:
    """Return the step of a share in [0, 1]: 0 for none, then 1 to 6."""
    return next(i for i, end in enumerate(STEPS) if share <= end)


def rate_class(rate: Rate | None) -> str:
    """Return ``s0`` to ``s6``, ``sx`` for asked but not assessed, ``sn`` for not asked."""
    if rate is None or (rate.rate is None and not rate.unassessed):
        return "sn"
    return "sx" if rate.rate is None else f"s{step(rate.rate)}"


def grade_class(grade: str | None, bands: Sequence[GradeBand]) -> str:
    """Return the step of a grade: the best has the colour of no event, the worst that of the highest rates."""
    names = [band.grade for band in bands]
    if grade is None or grade not in names:
        return "sx"
    return f"s{round(names.index(grade) / max(len(names) - 1, 1) * (len(STEPS) - 1))}"


def legend() -> list[tuple[str, str]]:
    """Return (class, meaning) of each step, lowest first."""
    ranges = [
        (f"s{i}", f"up to {100 * high:g}" if low == 0 else f"{100 * low:g}–{100 * high:g}")
        for i, (low, high) in enumerate(pairwise(STEPS), 1)
    ]
    return [("s0", "0"), *ranges]
