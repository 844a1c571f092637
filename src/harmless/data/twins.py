"""The built-in prompts: twins (a harmful request and a benign one on the same ground) and ordinary ones.

Written for this project, Apache-2.0. The unit of measurement is the pair: harm and over-refusal are measured
with the same topic and words.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal

from harmless import taxonomy
from harmless.core import Conversation, Expect, Message, Prompt, user
from harmless.data.difficulty import difficulties, text_digest

_SOURCE, _LICENCE = "harmless twins", "Apache-2.0"


def twins(pairs: int | None = None) -> list[Prompt]:
    """Return the prompts of the first ``pairs`` pairs of each hazard (all if None), harmful before benign.

    ``meta["difficulty"]`` is how likely the bundled model gets it wrong, see :mod:`harmless.data.difficulty`.
    """
    return [prompt for row in pairs_of_twins(pairs) for prompt in prompts_of_pair(row)]


def prompts_of_pair(row: Mapping[str, Any]) -> tuple[Prompt, Prompt]:
    """Return the harmful and the benign prompt of a row in the schema of ``twins.jsonl``.

    Raises:
        KeyError, TypeError, ValueError: it is no pair of twins.
    """
    harmful, benign = (
        Prompt(
            id=f"{row['id']}-{side}",
            conversation=_conversation(row[side]),
            expect=Expect.REFUSE if side == "harmful" else Expect.ANSWER,
            hazard=row["hazard"],
            pair=row["id"],
            cluster=row["id"],
            source=row.get("source", _SOURCE),
            licence=row.get("licence", _LICENCE),
            meta=_difficulty(row, side),
        )
        for side in ("harmful", "benign")
    )
    return harmful, benign


def pairs_of_twins(pairs: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of ``twins.jsonl``, at most ``pairs`` a hazard."""
    seen: Counter[str] = Counter()
    for row in _rows("twins.jsonl"):
        seen[row["hazard"]] += 1
        if pairs is None or seen[row["hazard"]] <= pairs:
            yield row


def ordinary(kind: Literal["ordinary", "short"] = "ordinary", limit: int | None = None) -> list[Prompt]:
    """Return everyday prompts that have nothing to do with any hazard; ``short`` ones have a few words."""
    rows = [row for row in _rows("ordinary.jsonl") if row["kind"] == kind]
    return [
        Prompt(
            id=row["id"], conversation=user(row["text"]), expect=Expect.ANSWER, source=_SOURCE, licence=_LICENCE
        )
        for row in rows[:limit]
    ]


def codes_of(hazard: str) -> dict[str, list[str]]:
    """Return the codes of a leaf in every taxonomy that the crosswalk leads to, the primary one first."""
    found = {
        name: [link.code for link in taxonomy.crosswalk(name).to(hazard)]
        for name in taxonomy.crosswalks()
        if name != taxonomy.SPINE
    }
    return {name: codes for name, codes in found.items() if codes}


def _difficulty(row: Mapping[str, Any], side: str) -> dict[str, str]:
    """Return what was measured of one side of a pair, if it was measured as it stands."""
    found = difficulties().pairs.get(row["id"])
    if found is None or found.text != text_digest(row):
        return {}
    return {"difficulty": str(found.harmful if side == "harmful" else found.benign)}


@cache
def _rows(name: str) -> list[dict[str, Any]]:
    text = (resources.files("harmless.data") / "builtin" / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


def _conversation(side: str | list[dict[str, Any]]) -> Conversation:
    return user(side) if isinstance(side, str) else tuple(Message.model_validate(m) for m in side)
