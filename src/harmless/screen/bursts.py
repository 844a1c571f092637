"""Near copies in bursts: a row that comes again and again weighs as much as a whole topic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from harmless.data.lessons import Lesson
from harmless.data.overlap import duplicates
from harmless.screen.verdicts import Kind, Reason

#: Jaccard index of character 5-grams, and how many rows make a burst.
NEAR, LEAST = 0.8, 5


def leaders(lessons: Sequence[Lesson], *, near: bool = True) -> list[int]:
    """Return for each row the first of those that near copies of prompt and reply link it with, or itself.

    Raises:
        MissingExtraError: ``near`` without the extra ``data``; without ``near`` only equal rows count.
    """
    found = list(range(len(lessons)))
    texts = [f"{each.prompt}\n\n{each.reply}" for each in lessons]
    for earlier, later, _ in duplicates(texts, near=NEAR if near else None):
        found[later] = found[earlier]
    return found


def bursts(first: Sequence[int]) -> dict[int, Reason]:
    """Return a reason for each row of the groups with ``LEAST`` rows or more; ``first`` are their leaders."""
    groups: dict[int, list[int]] = defaultdict(list)
    for row, leader in enumerate(first):
        groups[leader].append(row)
    found: dict[int, Reason] = {}
    for leader, rows in groups.items():
        if len(rows) >= LEAST:
            detail = f"one of {len(rows)} near copies of row {leader + 1}"
            found |= dict.fromkeys(rows, Reason(kind=Kind.BURST, score=len(rows), detail=detail))
    return found
