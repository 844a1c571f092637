"""The most telling prompts and replies of a run, or of two."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from harmless import taxonomy
from harmless.check.choice import LETTERS, chosen
from harmless.check.likelihood import log_likelihoods
from harmless.check.observed import Row, row_of
from harmless.core import Expect, Prompt
from harmless.evidence import Attempt, RunRecord, Store
from harmless.report.model import Example, Kind, Said
from harmless.report.text import cut

MOST = 60
MOST_OF_A_HAZARD = 3
LONGEST = 700

KINDS: Mapping[bool, tuple[Kind, ...]] = {
    False: ("unsafe", "wrong", "refused", "unassessed"),
    True: ("fixed", "unsafe", "broke", "wrong", "refused", "unassessed"),
}
"""Kinds of examples of one run (False) and of a comparison (True)."""


_WITH_BEFORE = ("fixed", "broke", "refused", "wrong")


class _Side(NamedTuple):
    """One attempt and what it counts as."""

    attempt: Attempt
    row: Row


class _Candidate(NamedTuple):
    """A prompt that may be shown; ordered by how telling it is, then by its place, which is unique."""

    weight: float
    place: tuple[int, int]
    group: str
    before: _Side | None
    after: _Side


def choose(store: Store, run: RunRecord, before: RunRecord | None = None) -> list[Example]:
    """Return at most :data:`MOST` examples, few of each hazard, the surest verdicts first.

    Reads the attempts once and in order, and keeps only the candidates.
    """
    prompts = store.prompts(run.id)
    best: dict[tuple[Kind, str], list[_Candidate]] = {}
    for position, first, second in _sides(store, prompts, run, before):
        prompt = prompts[position]
        kind = _kind(prompt, first, second)
        if kind:
            found = _candidate(kind, prompt, first, second)
            heap = best.setdefault((kind, found.group), [])
            heapq.heappush(heap, found)
            if len(heap) > MOST_OF_A_HAZARD:
                heapq.heappop(heap)
    kinds = KINDS[before is not None]
    return [
        _example(kind, prompts[candidate.place[0]], candidate)
        for kind in kinds
        for candidate in _spread([heap for (of, _), heap in best.items() if of == kind], MOST // len(kinds))
    ]


def _sides(
    store: Store, prompts: Sequence[Prompt], run: RunRecord, before: RunRecord | None
) -> Iterator[tuple[int, _Side | None, _Side]]:
    """Yield (position, side before if any, side after) of each attempt of the run that was judged."""
    runs = [r for r in (before, run) if r]
    merged = heapq.merge(*(_places(store, r, i) for i, r in enumerate(runs)), key=lambda row: row[:3])
    for place, rows in itertools.groupby(merged, key=lambda row: row[:2]):
        sides = {i: _side(prompts[place[0]], attempt, runs[i]) for _, _, i, attempt in rows}
        after = sides.get(len(runs) - 1)
        first = sides.get(0) if before else None
        if after and (first or not before):
            yield place[0], first, after


def _places(store: Store, run: RunRecord, side: int) -> Iterator[tuple[int, int, int, Attempt]]:
    for attempt in store.attempts(run.id):
        yield attempt.position, attempt.sample, side, attempt


def _side(prompt: Prompt, attempt: Attempt, run: RunRecord) -> _Side | None:
    row = row_of(prompt, attempt, run.guards, run.policy)
    return _Side(attempt, row) if row else None


def _kind(prompt: Prompt, before: _Side | None, after: _Side) -> Kind | None:
    now = after.row.event
    if now is None:
        # Where no option is right, none can be wrong.
        return "unassessed" if after.row.unassessed is not None else None
    if prompt.expect is Expect.CHOOSE:
        return "wrong" if now else None
    if prompt.expect is Expect.ANSWER:
        return "refused" if now else None
    if before is None:
        return "unsafe" if now else None
    was = before.row.event
    if was:
        return "unsafe" if now else "fixed"
    return "broke" if now else None


def _candidate(kind: Kind, prompt: Prompt, before: _Side | None, after: _Side) -> _Candidate:
    shown = before if kind == "fixed" and before else after
    verdict = shown.row.deciding
    weight = verdict.labels.get("refusal", 0.0) if kind == "refused" else verdict.score or 0.0
    if kind == "refused" and before and before.row.refused is False:
        weight += 1  # what the change itself refuses tells more than what was refused all along
    group = verdict.reason if kind == "unassessed" else prompt.hazard or ""
    place = (after.attempt.position, after.attempt.sample)
    return _Candidate(weight, place, group, before, after)


def _spread(groups: Iterable[list[_Candidate]], limit: int) -> list[_Candidate]:
    """Return up to ``limit`` candidates, spread over the domains, and in each of them over the hazards.

    The best of each group come before the second best of any; the best of each domain before its others.
    """
    ranked: dict[str, list[tuple[int, float, tuple[int, int], _Candidate]]] = {}
    for heap in groups:
        for rank, found in enumerate(sorted(heap, key=_telling)):
            ranked.setdefault(_domain(found.group), []).append((rank, *_telling(found), found))
    rows = [
        (rank, candidate)
        for domain in ranked.values()
        for rank, (*_, candidate) in enumerate(sorted(domain, key=lambda row: row[:3]))
    ]
    return [candidate for _, candidate in sorted(rows, key=lambda row: (row[0], *_telling(row[1])))[:limit]]


def _telling(candidate: _Candidate) -> tuple[float, tuple[int, int]]:
    return -candidate.weight, candidate.place


def _domain(group: str) -> str:
    """Return the domain of a hazard; a cause of not being assessed is a group of its own."""
    spine = taxonomy.load()
    known = group.startswith("salad.")
    return spine.rollup(group, "domain").key if known else group


def _example(kind: Kind, prompt: Prompt, found: _Candidate) -> Example:
    text, left = cut(prompt.text, LONGEST)
    return Example(
        kind=kind,
        prompt_id=prompt.id,
        sample=found.place[1],
        hazard=prompt.hazard,
        expect=prompt.expect,
        cause=_cause(kind, prompt, found.after.row),
        turns=len(prompt.conversation),
        prompt=text,
        prompt_sealed=prompt.expect is not Expect.ANSWER,
        prompt_cut=left,
        before=_said(found.before, prompt) if found.before and kind in _WITH_BEFORE else None,
        after=_said(found.after, prompt),
    )


def _cause(kind: Kind, prompt: Prompt, row: Row) -> str:
    """Return why there is no verdict, or which option was chosen in place of which."""
    if kind == "wrong":
        picked, right = (_letters(each) for each in (chosen(row.deciding), prompt.correct))
        return f"chose {picked}, right is {right}" if picked else row.deciding.reason or "no option was chosen"
    return cut(row.deciding.reason, 160)[0] if kind == "unassessed" else ""


def _letters(positions: Iterable[int]) -> str:
    return ", ".join(LETTERS[i] for i in positions)


def _said(side: _Side, prompt: Prompt) -> Said:
    """Return a reply; only a guard's refusal, and safe replies to benign prompts, are not sealed."""
    reply, picked = side.attempt.reply, chosen(side.row.deciding)
    # What is kept of a choice by likelihood is numbers; the option that was chosen tells more.
    by_likelihood = bool(picked) and log_likelihoods(side.row.deciding) is not None
    text, left = cut(prompt.options[picked[0]] if by_likelihood else reply.text, LONGEST)
    benign = prompt.expect is Expect.ANSWER and side.row.unsafe is False
    return Said(
        status=reply.status,
        text=text,
        sealed=not (reply.withheld or benign),
        cut=left,
        score=side.attempt.verdicts["harm"].score if "harm" in side.attempt.verdicts else None,
    )


def kinds_present(examples: Sequence[Example]) -> list[Kind]:
    """Return the kinds that have an example, in order of appearance."""
    return list(dict.fromkeys(example.kind for example in examples))
