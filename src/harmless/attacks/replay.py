"""Attacks that others have recorded: jailbreak texts, prompts for given objectives, suffixes; read from files.

What a row is shows in its columns:

- ``goal`` (or ``objective``, ``baseq``, ``base``, ``vanilla``) and a prompt: asked for that objective only, as
  in JailbreakBench artifacts (Chao et al. 2024) and SALAD-Bench's attack-enhanced set (Li et al. 2024);
- ``suffix``: put behind every objective, as the suffixes of GCG (Zou et al. 2023);
- a prompt alone: a jailbreak text; the objective takes the place of ``[INSERT PROMPT HERE]`` and its like, or
  stands behind the text (Shen et al. 2023).
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.writing import whole_numbers
from harmless.core import Message, digest
from harmless.data import Labelled, catalog, load, read_rows
from harmless.data.files import is_data_file
from harmless.errors import BadFileError, UnknownNameError

#: Recorded texts that are tried for an objective where the user says nothing.
MOST = 10
_GOAL = ("goal", "objective", "baseq", "base", "vanilla")
_PROMPT = ("prompt", "augq", "adversarial", "text")
_SUFFIX = "suffix"
_ARTICLES, _ASKED = (
    r"(?:insert|put|your|any|the|a|user|my)",
    r"(?:prompt|question|request|query|goal|objective)",
)
_PLACE = re.compile(
    rf"[\[{{<]{{1,2}}\s*(?:{_ARTICLES}[ _])*{_ASKED}(?:[ _]here)?\s*\\?[\]}}>]{{1,2}}", re.IGNORECASE
)


class Replay:
    """Asks what was asked of other targets.

    Args:
        name: of the attack.
        rows: the recorded attacks.
        most: texts tried for an objective; of more, a sample is taken, the same for all objectives.
        place: where the rows come from, for messages.
    """

    def __init__(self, name: str, rows: Iterable[Mapping[str, Any]], most: int, place: str) -> None:
        self._texts: list[str] = []
        self._for: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            self._add(row)
        self._texts = _some(list(dict.fromkeys(self._texts)), most)
        self._for = {goal: _some(list(dict.fromkeys(texts)), most) for goal, texts in self._for.items()}
        calls = len(self._texts) + max(map(len, self._for.values()), default=0)
        if not calls:
            raise BadFileError(
                place, "There is no recorded attack in it.", next_step="Columns: goal and prompt, or text."
            )
        self.info = AttackInfo(
            name=name,
            family="replay",
            revision=digest(self._texts, self._for, length=8),
            calls=calls,
            source=place,
        )

    async def run(self, session: Session) -> None:
        """Ask the prompts that were recorded for this objective, then the texts that are for all."""
        *before, last = session.objective.conversation
        texts = [
            *self._for.get(key_of(last.content), ()),
            *(_filled(text, last.content) for text in self._texts),
        ]
        for text in texts:
            await session.ask([(*before, Message(role="user", content=text))], note=text[:40])

    def _add(self, row: Mapping[str, Any]) -> None:
        goal, prompt = _first(row, _GOAL), _first(row, _PROMPT)
        if suffix := _first(row, (_SUFFIX,)):
            self._texts.append(f"{{objective}} {suffix}")
        elif goal and prompt:
            self._for[key_of(goal)].append(prompt)
        elif prompt:
            self._texts.append(prompt)


def replay(data: str, most: str = str(MOST)) -> Replay:
    """Return the attack that replays a file or a set of the catalog: ``replay(FILE, 20)``, ``replay(NAME)``.

    Raises:
        UnknownNameError: neither a data file nor a set of the catalog.
        BadFileError: the file cannot be read, or holds no attack.
        UnreachableError: the hub is out of reach.
    """
    (count,) = whole_numbers("replay", number=most)
    name = f"replay({data})" if count == MOST else f"replay({data}, {count})"
    return Replay(name, _rows(data), count, data)


def _rows(data: str) -> Iterator[Mapping[str, Any]]:
    known, equals, path = data.partition("=")
    if known in catalog():
        for item in load(known, path=path if equals else None).items:
            text = item.exchange.prompt if isinstance(item, Labelled) else item.text
            yield {**item.meta, "text": text}
        return
    if not is_data_file(data):
        raise UnknownNameError("data", data, [*catalog(), "FILE.jsonl"])
    for _, row in read_rows(Path(data)):
        inner = row.get("jailbreaks")  # a JailbreakBench artifact is one object
        yield from (each for each in inner if isinstance(each, Mapping)) if isinstance(inner, list) else (row,)


def _first(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Return the first of the columns that has a text."""
    found = (row.get(column) for column in columns)
    return next((text for text in found if isinstance(text, str) and text.strip()), "")


def _filled(text: str, objective: str) -> str:
    """Return a jailbreak text with the objective in its place, or behind it."""
    filled = _PLACE.sub(lambda _: objective, text)
    return filled if filled != text else f"{text}\n\n{objective}"


def key_of(objective: str) -> str:
    """Return what equal objectives have in common: no case, punctuation or space."""
    return " ".join(re.findall(r"\w+", objective.casefold()))


def _some(texts: list[str], most: int) -> list[str]:
    return texts if len(texts) <= most else random.Random(0).sample(texts, most)
