"""Win rate: on benign prompts, whose reply does a judge prefer, asked in both orders."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np

from harmless.align.proof import Proof
from harmless.check import Measure
from harmless.core import Expect, Reply
from harmless.evidence import Store
from harmless.guards.llm_judge import LlmJudge
from harmless.guards.pairwise import Comparison, Pair, Result, compare_all
from harmless.stats import clustered_mean

_WORTH = {Result.WIN: 1.0, Result.TIE: 0.5, Result.LOSE: 0.0}


async def with_wins(
    proof: Proof, store: Store, judge: LlmJudge, *, limit: int | None = None, seed: int = 0
) -> Proof:
    """Return the proof with each target's win rate against the first one, by the judge's rubric.

    A tie counts half, as does a result that changes with the order of the replies. Two equal replies tie, and
    are not asked about. What the judge does not answer is unassessed and widens the limits.

    Args:
        limit: so many benign prompts, the same for all targets, drawn by ``seed``.
    """
    first, *others = proof.standings
    known = _replies(store, _run(proof, store, first.runs))
    chosen = sorted(known)
    random.Random(seed).shuffle(chosen)
    standings = [first]
    for each in others:
        replies = _replies(store, _run(proof, store, each.runs))
        pairs = [
            Pair(known[id][0], replies[id][1].text, known[id][1].text) for id in chosen[:limit] if id in replies
        ]
        wins = _rate(await _compared(judge, pairs), proof.confidence)
        standings.append(each.model_copy(update={"wins": wins}))
    return proof.model_copy(update={"standings": tuple(standings), "judge": judge.info.name})


async def _compared(judge: LlmJudge, pairs: Sequence[Pair]) -> list[Result]:
    different = [pair for pair in pairs if pair.a.strip() != pair.b.strip()]
    found: list[Comparison] = await compare_all(judge, different)
    results = iter(found)
    return [next(results).result if pair.a.strip() != pair.b.strip() else Result.TIE for pair in pairs]


def _run(proof: Proof, store: Store, runs: Sequence[str]) -> str:
    return next(run for run in runs if store.run(run).suite == proof.suite)


def _replies(store: Store, run: str) -> Mapping[str, tuple[str, Reply]]:
    """Return id -> prompt and reply of the benign prompts whose first sample has text."""
    prompts = store.prompts(run)
    return {
        prompt.id: (prompt.text, attempt.reply)
        for attempt in store.attempts(run)
        if (prompt := prompts[attempt.position]).expect is Expect.ANSWER
        and attempt.sample == 0
        and attempt.reply.has_text
    }


def _rate(results: Sequence[Result], confidence: float) -> Measure:
    """Return the mean worth of results; what is unassessed lost in the low limit and won in the high one."""
    values = np.array([_WORTH.get(result, np.nan) for result in results])
    known = ~np.isnan(values)
    n, unassessed = int(known.sum()), int((~known).sum())
    if not n:
        return Measure(name="wins", value=None, low=None, high=None, n=0, unassessed=unassessed)
    places = np.arange(len(values))
    low, high = (clustered_mean(np.where(known, values, end), places, confidence) for end in (0.0, 1.0))
    return Measure(
        name="wins",
        value=float(values[known].mean()),
        low=max(low.low, 0.0),
        high=min(high.high, 1.0),
        n=n,
        unassessed=unassessed,
    )
