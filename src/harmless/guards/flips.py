"""Why a guard said what it said, and the smallest edit after which it says otherwise.

Words are left out, alone and together, and the guard is asked again: a counterfactual explanation in words of
the text itself (Martens and Provost 2014). The search is the same each time, and asks a bounded number of
questions in batches. Nothing is claimed of edits that were not tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from math import comb
from typing import Literal

from harmless import taxonomy
from harmless.core import Exchange, Guard, GuardInfo, Message, Outcome, Policy, Verdict
from harmless.core.judging import judge_safely
from harmless.core.model import Model

CALLS, CALLS_AWAY = 600, 60
"""Edits that are tried at most, and where each of them leaves the machine."""
PIECES = 60
"""Words that are tried one by one; of a longer text, neighbours are taken together."""
LARGEST = 3
"""Words of the largest sets that are tried as such; larger ones are found one word after the other."""

_WORD = re.compile(r"\w+(?:['’.-]\w+)*")

Span = tuple[int, int]


class Spot(Model):
    """What a guard found in the text: ``span`` in characters, None where it is of the whole text."""

    hazard: str | None
    name: str
    rule: str
    span: Span | None
    score: float


class Edit(Model):
    """The text without some words: the smallest set that flips the decision, or the nearest to it.

    ``spans`` are what was left out, in characters of the original. ``flips`` says whether the decision changed;
    ``smallest`` whether every smaller set of words was tried and none flips it.
    """

    spans: tuple[Span, ...]
    removed: tuple[str, ...]
    text: str
    score: float
    flips: bool
    smallest: bool


class Explanation(Model):
    """One guard's verdict on a text, taken apart. ``tried`` counts the edits that it judged."""

    guard: str
    side: Literal["prompt", "reply"]
    text: str
    outcome: Outcome
    flagged: bool | None
    score: float | None
    threshold: float
    reason: str
    spots: tuple[Spot, ...]
    edit: Edit | None
    tried: int


class Explanations(Model):
    """What several guards say of one text, in the order in which they were named."""

    explanations: tuple[Explanation, ...]


async def explain(
    spec: str, guard: Guard, exchange: Exchange, policy: Policy, calls: int | None = None
) -> Explanation:
    """Return what a guard says of an exchange, and the edit of the judged text that is nearest to flip it.

    Of a flagged text, the fewest words without which it passes are looked for: each word, then pairs and
    triples of the most telling ones, then words one after the other, from which all are put back that need not
    be gone. Of a text that passes it is the single word whose absence brings it nearest to being flagged.

    Args:
        spec: how the guard is named in the result.
        guard: what is explained; one that does not judge this side gives an unassessed verdict.
        exchange: the reply is judged, or the last user message where there is none.
        policy: thresholds.
        calls: edits to try at most; by default 600, or 60 where text leaves the machine.
    """
    side: Literal["prompt", "reply"] = "prompt" if exchange.reply is None else "reply"
    info = guard.info
    rule = policy.guards.get(info.name)
    if info.sees not in ("both", side):
        verdict = Verdict.unassessed(f"{spec} judges a {info.sees}, and this is a {side}")
    else:
        (verdict,) = await judge_safely(guard, [exchange])
    limit = calls if calls is not None else CALLS_AWAY if info.leaves_machine else CALLS
    search = _Search(guard, exchange, policy, verdict, limit)
    edit = await search.edit()
    return Explanation(
        guard=spec,
        side=side,
        text=search.text,
        outcome=verdict.outcome,
        flagged=search.flagged,
        score=verdict.score,
        threshold=rule.threshold if rule else info.threshold,
        reason=verdict.reason,
        spots=tuple(_spots(verdict)),
        edit=edit,
        tried=search.tried,
    )


class _Search:
    """The edits of one text: pieces that may be left out, and the score without each set of them."""

    def __init__(self, guard: Guard, exchange: Exchange, policy: Policy, verdict: Verdict, calls: int) -> None:
        self._guard, self._exchange, self._policy = guard, exchange, policy
        self.text = exchange.prompt if exchange.reply is None else exchange.reply
        self.pieces = pieces(self.text)
        self.flagged = _flagged(policy, guard.info, verdict)
        self.score = verdict.score or 0.0
        self._calls = calls
        self._known: dict[frozenset[int], Verdict] = {}

    @property
    def tried(self) -> int:
        """Edits that were judged."""
        return len(self._known)

    async def edit(self) -> Edit | None:
        """Return the edit; None if the text was not assessed, has no words, or none of its edits was."""
        if self.flagged is None or not self.pieces:
            return None
        alone = [frozenset([i]) for i in range(len(self.pieces))]
        await self._try(alone)
        best = self._best(alone)
        if best is None:
            return None
        if self._flips(best) or not self.flagged:
            return self._edit(best, smallest=len(self._of(alone)) == len(alone))
        return await self._together(alone) or await self._one_by_one(best) or self._edit(best, smallest=False)

    async def _together(self, alone: Sequence[frozenset[int]]) -> Edit | None:
        """Try pairs, then triples: all of them if the calls allow, else those of the most telling words."""
        every = len(self._of(alone)) == len(alone)
        order = sorted(self._of(alone), key=lambda s: (self._score(s), min(s)))
        ranked = [min(each) for each in order]
        for size in range(2, LARGEST + 1):
            share = (self._calls - self.tried) // 2
            among = next((n for n in range(len(ranked), size - 1, -1) if comb(n, size) <= share), 0)
            sets = [frozenset(each) for each in combinations(ranked[:among], size)]
            await self._try(sets)
            best = self._best(sets)
            if best is not None and self._flips(best):
                return self._edit(best, smallest=every)
            every = every and among == len(self.pieces) and len(self._of(sets)) == len(sets)
        return None

    async def _one_by_one(self, best: frozenset[int]) -> Edit | None:
        """Leave out one word after the other, each time that which lowers the score most; then put back."""
        gone = best
        while not self._flips(gone):
            sets = [gone | {i} for i in range(len(self.pieces)) if i not in gone]
            await self._try(sets)
            step = self._best(sets)
            if step is None:
                return None
            gone = step
        for i in sorted(gone):
            fewer = gone - {i}
            if fewer:
                await self._try([fewer])
                gone = fewer if self._flips(fewer) else gone
        return self._edit(gone, smallest=False)

    async def _try(self, sets: Iterable[frozenset[int]]) -> None:
        new = [each for each in dict.fromkeys(sets) if each not in self._known]
        new = new[: max(self._calls - self.tried, 0)]
        size = self._guard.info.batch_size
        for start in range(0, len(new), size):
            batch = new[start : start + size]
            verdicts = await judge_safely(self._guard, [self._without(each) for each in batch])
            self._known |= dict(zip(batch, verdicts, strict=True))

    def _of(self, sets: Iterable[frozenset[int]]) -> list[frozenset[int]]:
        """Return those sets that were assessed."""
        return [each for each in sets if each in self._known and self._known[each].score is not None]

    def _best(self, sets: Iterable[frozenset[int]]) -> frozenset[int] | None:
        """Return the set that brings the decision nearest to its flip, the first of equals."""
        sign = 1 if self.flagged else -1
        key = lambda s: (not self._flips(s), sign * self._score(s), sorted(s))  # noqa: E731
        return min(self._of(sets), key=key, default=None)

    def _score(self, gone: frozenset[int]) -> float:
        return self._known[gone].score or 0.0

    def _flips(self, gone: frozenset[int]) -> bool:
        if gone not in self._known:
            return False
        after = _flagged(self._policy, self._guard.info, self._known[gone])
        return after is not None and after is not self.flagged

    def _without(self, gone: frozenset[int]) -> Exchange:
        text = without(self.text, [self.pieces[i] for i in gone])
        if self._exchange.reply is not None:
            return self._exchange.model_copy(update={"reply": text})
        turns = self._exchange.conversation
        at = max(i for i, message in enumerate(turns) if message.role == "user")
        changed = (*turns[:at], Message(role="user", content=text), *turns[at + 1 :])
        return self._exchange.model_copy(update={"conversation": changed})

    def _edit(self, gone: frozenset[int], *, smallest: bool) -> Edit:
        spans = tuple(self.pieces[i] for i in sorted(gone))
        return Edit(
            spans=spans,
            removed=tuple(self.text[start:end] for start, end in spans),
            text=without(self.text, spans),
            score=self._score(gone),
            flips=self._flips(gone),
            smallest=smallest and self._flips(gone),
        )


def pieces(text: str) -> list[Span]:
    """Return the (start, end) of the words of a text, neighbours as one where there are more than 60."""
    words = [found.span() for found in _WORD.finditer(text)]
    together = -(-len(words) // PIECES) or 1
    groups = [words[start : start + together] for start in range(0, len(words), together)]
    return [(group[0][0], group[-1][1]) for group in groups]


def without(text: str, spans: Iterable[Span]) -> str:
    """Return a text without some spans, and without the space that would be doubled."""
    for start, end in sorted(spans, reverse=True):
        if text[end : end + 1].isspace() and (start == 0 or text[start - 1].isspace()):
            end += 1
        text = text[:start] + text[end:]
    return text.strip()


def _flagged(policy: Policy, info: GuardInfo, verdict: Verdict) -> bool | None:
    return policy.flagged(info.name, info.threshold, verdict)


def _spots(verdict: Verdict) -> Iterable[Spot]:
    hazards = taxonomy.load()
    for found in verdict.findings:
        name = hazards.hazard(found.hazard).name if found.hazard else ""
        yield Spot(hazard=found.hazard, name=name, rule=found.rule, span=found.span, score=found.score)
