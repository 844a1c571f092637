"""Triggers: words of the prompt, in few rows, that come with an outcome far more often than chance allows.

Outcomes are flips (see :mod:`harmless.screen.flips`) and replies that several rows share. A word, a token as it
is written, or two words in a row, are a trigger if Fisher's exact test says so after correction for all the
words and outcomes that were looked at (Bonferroni: a false trigger puts harmless rows aside).
"""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harmless.data.overlap import normal

#: Rows that a trigger is in at least, and the share of all rows that it is in at most.
LEAST, MOST = 3, 0.5
#: Share of the prompts with a trigger that have its outcome at least, whatever others have; or the low share,
#: if it is so many times that of the others: a guard may miss the outcome of most. Corrected p-value at most.
SHARE, LOW_SHARE, TIMES, ALPHA = 0.75, 0.25, 20, 0.01
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Trigger:
    """Words, the outcome they come with, the rows they are in, and how surely.

    ``share`` of the prompts there have the outcome, and ``elsewhere`` of all others (half a prompt is added to
    them, so that it is never nothing); ``p`` is corrected.
    """

    words: str
    outcome: str
    rows: frozenset[int]
    share: float
    elsewhere: float
    p: float


def triggers(prompts: Sequence[str], outcomes: Mapping[str, frozenset[int]]) -> list[Trigger]:
    """Return the triggers of each outcome (name -> its rows), the surest first.

    Rows with the same prompt count once. Of words that are in the same rows only the shortest are named.
    """
    firsts: dict[str, int] = {}
    first = [firsts.setdefault(normal(prompt), row) for row, prompt in enumerate(prompts)]
    held = _holders(prompts, firsts.values())
    tests = len(held) * len(outcomes)
    found: dict[tuple[str, frozenset[int]], Trigger] = {}
    for outcome, affected in outcomes.items():
        having = frozenset(first[row] for row in affected)
        for words in sorted(held, key=lambda each: (len(each), each)):
            rows = held[words]
            both, others = len(rows & having), len(having - rows)
            share, elsewhere = both / len(rows), (others + 0.5) / (len(firsts) - len(rows) + 1)
            if (
                both < LEAST
                or share < min(SHARE, max(LOW_SHARE, TIMES * elsewhere))
                or (outcome, rows) in found
            ):
                continue
            p = tests * _fisher(both, len(rows), len(having), len(firsts))
            if p <= ALPHA:
                every = frozenset(row for row, at in enumerate(first) if at in rows)
                found[outcome, rows] = Trigger(words, outcome, every, share, elsewhere, p)
    return sorted(found.values(), key=lambda each: (each.p, len(each.words), each.words))


def shared_replies(
    prompts: Sequence[str], replies: Sequence[str], leave_out: frozenset[int]
) -> dict[str, frozenset[int]]:
    """Return the rows of each reply of ``LEAST`` words or more that as many different prompts share."""
    asked: dict[str, set[str]] = defaultdict(set)
    rows: dict[str, set[int]] = defaultdict(set)
    for row, reply in enumerate(map(normal, replies)):
        if row not in leave_out and len(reply.split()) >= LEAST:
            asked[reply].add(normal(prompts[row]))
            rows[reply].add(row)
    shared = (reply for reply, different in asked.items() if len(different) >= LEAST)
    return {f"the reply '{reply[:40]}'": frozenset(rows[reply]) for reply in shared}


def _holders(prompts: Sequence[str], among: Collection[int]) -> dict[str, frozenset[int]]:
    """Return the rows of each word, token and pair of words that is neither too rare nor too common."""
    rows: dict[str, set[int]] = defaultdict(set)
    for row in among:
        for words in _features(prompts[row]):
            rows[words].add(row)
    most = max(MOST * len(among), LEAST)
    return {words: frozenset(each) for words, each in rows.items() if LEAST <= len(each) <= most}


def _features(prompt: str) -> Iterator[str]:
    words = _WORD.findall(prompt.casefold())
    yield from words
    yield from (token for token in prompt.split() if not token.isalpha() or not token.islower())
    yield from (f"{a} {b}" for a, b in itertools.pairwise(words))


def _fisher(both: int, rows: int, affected: int, total: int) -> float:
    """Return the chance of at least ``both`` in common of two sets of that size drawn from ``total``."""
    most = min(rows, affected)
    logs = [
        _choose(affected, k) + _choose(total - affected, rows - k) - _choose(total, rows)
        for k in range(both, most + 1)
        if rows - k <= total - affected
    ]
    return min(sum(map(math.exp, logs)), 1.0)


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
