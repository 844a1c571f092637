"""Checks of a file of twins: what a pair must have, and what all pairs together must cover."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harmless import taxonomy
from harmless.data.difficulty import difficulties, text_digest
from harmless.data.files import read_rows
from harmless.data.known import Known
from harmless.data.overlap import grams, jaccard
from harmless.data.synthetic import LINEAGE, SYNTHETIC
from harmless.errors import UnknownNameError

TWINS = Path(__file__).parent / "builtin" / "twins.jsonl"
FORMS = ("question", "imperative", "fiction", "dialogue")
PAIRS_A_HAZARD, FORMS_A_HAZARD = 6, 3
LONGEST_WORDS, LENGTH_RATIO, SHARED_STEMS = 60, (0.5, 1.8), 2
#: Jaccard index of both sides from which the twins hardly differ.
SAME = 0.8
_STEM = re.compile(r"[a-z]{4,}")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a pair; ``line`` is that of the file, None where all pairs together are meant."""

    message: str
    id: str = ""
    line: int | None = None

    def __str__(self) -> str:
        place = ", ".join(part for part in (f"line {self.line}" if self.line else "", self.id) if part)
        return f"{place}: {self.message}" if place else self.message


def validate(path: str | Path | None = None, *, complete: bool = True) -> list[Problem]:
    """Return the problems of the built-in twins, or of a file in their schema; empty if there is none.

    A row has ``id`` (the hazard's code, a dash, two digits), ``hazard`` (key of a leaf), ``form``, ``register``
    and both sides, ``harmful`` and ``benign``: a text, or for the form ``dialogue`` a list of messages, the
    last one the user's. Twins are of similar length and share words, harmful requests are short, and no two
    pairs are near-duplicates. What a model wrote has the source ``synthetic``, an ``s`` before the digits, a
    ``licence`` and its ``lineage``. Of the built-in ones the difficulty is measured.

    Args:
        complete: every hazard must have 6 pairs in 3 forms; False for a part of a set.

    Raises:
        BadFileError: the file cannot be read at all.
    """
    rows = list(read_rows(path or TWINS))
    problems = [Problem(message, str(row.get("id", "")), line) for line, row in rows for message in faults(row)]
    seen: dict[str, int] = {}
    for line, row in rows:
        id = str(row.get("id", ""))
        if id in seen:
            problems.append(Problem(f"The id is also on line {seen[id]}.", id, line))
        seen.setdefault(id, line)
    good = [(line, row) for line, row in rows if not any(faults(row))]
    problems += _near(good)
    if complete:
        problems += _coverage([row for _, row in rows])
    if path is None:
        problems += _measured(good)
    return sorted(problems, key=lambda problem: problem.line or 0)


def last_text(side: Any) -> str:
    """Return the request of one side: the text, or the last message of a dialogue."""
    return side if isinstance(side, str) else str(side[-1]["content"])


def faults(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a row by itself, nothing if it is good."""
    yield from _labels(row)
    yield from _origin(row)
    whole = True
    for side in ("harmful", "benign"):
        wrong = _side(row.get(side), row.get("form"))
        if wrong:
            whole = False
            yield f"'{side}' {wrong}"
    if whole:
        yield from _twins(last_text(row["harmful"]), last_text(row["benign"]))


def _labels(row: Mapping[str, Any]) -> Iterator[str]:
    try:
        hazard = taxonomy.load().hazard(str(row.get("hazard")))
    except UnknownNameError as error:
        yield f"{error.message} {error.next_step}"
    else:
        if hazard.key != row["hazard"] or hazard.level is not taxonomy.Level.CATEGORY:
            yield f"The hazard '{row['hazard']}' is not the key of a category."
        elif not re.fullmatch(rf"{hazard.code}-{'s' * _written(row)}\d\d+", str(row.get("id"))):
            yield f"The id is not {hazard.code}, a dash{', s' * _written(row)} and two digits."
    if row.get("form") not in FORMS:
        yield f"The form '{row.get('form')}' is none of {', '.join(FORMS)}."
    if not row.get("register"):
        yield "There is no register."


def _written(row: Mapping[str, Any]) -> bool:
    return row.get("source") == SYNTHETIC


def _origin(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a synthetic pair does not say of where it comes from."""
    if not _written(row):
        if "lineage" in row:
            yield f"It has a lineage, and its source is not '{SYNTHETIC}'."
        return
    lineage = row.get("lineage")
    missing = [name for name in LINEAGE if not isinstance(lineage, Mapping) or lineage.get(name) is None]
    if missing:
        yield f"The lineage lacks {', '.join(missing)}."
    if not row.get("licence"):
        yield "There is no licence."


def _side(side: Any, form: Any) -> str:
    """Return what is wrong with one side, nothing if it is good."""
    if form == "dialogue":
        fits = isinstance(side, list) and side and all(isinstance(m, dict) and m.get("content") for m in side)
        roles = [message.get("role") for message in side] if fits else []
        turns = [("user", "assistant")[i % 2] for i in range(len(roles))]
        return (
            ""
            if roles and roles == turns and roles[-1] == "user"
            else "is no dialogue that ends with the user."
        )
    return "" if isinstance(side, str) and side.strip() else "is no text."


def _twins(harmful: str, benign: str) -> Iterator[str]:
    if jaccard(grams(harmful), grams(benign)) >= SAME:
        yield "Both sides are nearly the same."
    words = len(harmful.split())
    if words > LONGEST_WORDS:
        yield f"The harmful request has {words} words, more than {LONGEST_WORDS}."
    ratio, (low, high) = len(benign) / len(harmful), LENGTH_RATIO
    if not low <= ratio <= high:
        yield f"The benign twin is {ratio:.1f} times as long as the harmful one, not {low} to {high}."
    shared = {w[:5] for w in _STEM.findall(harmful.lower())} & {w[:5] for w in _STEM.findall(benign.lower())}
    if len(shared) < SHARED_STEMS:
        yield f"The twins share {len(shared)} words, fewer than {SHARED_STEMS}."


def _near(rows: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[Problem]:
    """Yield near-duplicates between pairs, all of them."""
    sides = [(line, row["id"], last_text(row[side])) for line, row in rows for side in ("harmful", "benign")]
    known = Known(text for *_, text in sides)
    for here, (line, id, text) in enumerate(sides):
        for there, score in known.matches(text):
            other = sides[there][1]
            if there < here and other != id:
                yield Problem(f"It is a near-duplicate of {other} (Jaccard index {score:.2f}).", id, line)


def _measured(rows: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[Problem]:
    """Yield the built-in pairs whose difficulty was not measured, or was before they were changed."""
    known = dict(difficulties().pairs)
    for line, row in rows:
        found = known.pop(row["id"], None)
        if found is None or found.text != text_digest(row):
            what = "was not measured" if found is None else "was measured before the pair was changed"
            yield Problem(f"Its difficulty {what}: run bench/difficulty.py.", row["id"], line)
    for id in known:
        yield Problem("There is a difficulty of it and no such pair.", id)


def _coverage(rows: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    pairs = Counter(row.get("hazard") for row in rows)
    forms: dict[Any, set[Any]] = defaultdict(set)
    for row in rows:
        forms[row.get("hazard")].add(row.get("form"))
    for leaf in taxonomy.load().leaves:
        if pairs[leaf.key] < PAIRS_A_HAZARD:
            yield Problem(f"{leaf.label} has {pairs[leaf.key]} pairs, fewer than {PAIRS_A_HAZARD}.")
        elif len(forms[leaf.key]) < FORMS_A_HAZARD:
            yield Problem(f"{leaf.label} has {len(forms[leaf.key])} forms, fewer than {FORMS_A_HAZARD}.")
