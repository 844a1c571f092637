"""Further twins, written by any target after the example of the built-in ones, and kept apart from them.

What is not exactly a pair, breaks a rule of ``harmless data validate``, or nearly repeats a known text is
counted and not kept; what is kept is appended to the file at once and says which model wrote it, and how.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import yaml

from harmless import taxonomy
from harmless.core import Conversation, Exchange, Guard, Message, Reply, ReplyStatus, Sampling, Target, digest
from harmless.data.files import read_rows
from harmless.data.known import Known
from harmless.data.synthetic import SYNTHETIC
from harmless.data.twins import pairs_of_twins
from harmless.data.validate import faults, last_text
from harmless.errors import BadFileError, UnreachableError, UsageError
from harmless.taxonomy import Hazard

#: Failed requests in a row after which the target is given up.
GIVE_UP_AFTER = 8


class Fate(StrEnum):
    """What became of a request for a pair."""

    KEPT = "kept"
    GARBLED = "garbled"  #: not exactly a pair
    UNFIT = "unfit"  #: a pair that breaks a rule: too long, no words shared, both sides the same
    REFUSED = "refused"  #: the model declined to write
    DUPLICATE = "duplicate"  #: it nearly repeats a known text, mostly an example
    FAILED = "failed"  #: no reply


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be written.

    ``count`` pairs a hazard (keys of leaves) are wanted, for which at most ``tries`` requests are made each.
    ``licence`` is that of what the model writes, as its terms have it; nothing here can know it.
    """

    hazards: tuple[str, ...]
    count: int
    tries: int
    sampling: Sampling
    licence: str
    day: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())


@cache
def template() -> Mapping[str, Any]:
    """Return what the model is told, and how its reply is read: ``writing.yaml``."""
    text = Path(__file__).with_name("writing.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def leaves_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the keys of the leaves under hazards of any level.

    Raises:
        UnknownNameError: there is no such hazard.
    """
    hazards = taxonomy.load()
    found = (leaf.key for name in names for leaf in hazards.leaves_under(hazards.hazard(name).key))
    return tuple(dict.fromkeys(found))


def read_pair(reply: Reply) -> tuple[str, str] | None:
    """Return the two requests of a reply, None unless it is a pair in exactly the form that was asked for.

    Further pairs behind the first do not matter; a pair that the token limit may have cut does.
    """
    found = re.match(template()["reply"], reply.text, re.DOTALL) if reply.has_text else None
    if found is None or (reply.status is ReplyStatus.TRUNCATED and not found["more"]):
        return None
    return found["harmful"].strip(' "'), found["benign"].strip(' "')


class Writer:
    """Lets a target write twins into a file.

    Args:
        target: who writes.
        order: what is wanted.
        out: JSONL in the schema of the twins; what it holds is kept, counts towards the order and is not
            repeated.
        against: further texts that must not be repeated.
        refusal: a guard that tells a refusal to write from a garbled reply; without one both are garbled.

    Raises:
        UsageError: ``out`` holds pairs that no model wrote.
        BadFileError: ``out`` cannot be read.
    """

    def __init__(
        self,
        target: Target,
        order: Order,
        out: Path,
        *,
        against: Iterable[str] = (),
        refusal: Guard | None = None,
    ) -> None:
        self._target, self._order, self._out, self._refusal = target, order, out, refusal
        self._rows = _written(out)
        built_in = list(pairs_of_twins())
        self._examples: dict[str, list[dict[str, Any]]] = {}
        for row in built_in:
            if row["form"] != "dialogue":
                self._examples.setdefault(row["hazard"], []).append(row)
        self._known = Known([*_texts([*built_in, *self._rows]), *against])
        self._failures = 0
        #: hazard -> how many requests had each fate.
        self.tallies: dict[str, Counter[Fate]] = {key: Counter() for key in order.hazards}

    async def write(self, observe: Callable[[str, Counter[Fate]], None] = lambda *_: None) -> None:
        """Ask until every hazard has its pairs or its tries are spent; ``observe`` is told after each request.

        Raises:
            UnreachableError: the target only fails.
            UsageError: the file cannot be written.
        """
        for key in self._order.hazards:
            await self._write_hazard(taxonomy.load().hazard(key), observe)

    async def _write_hazard(self, hazard: Hazard, observe: Callable[[str, Counter[Fate]], None]) -> None:
        width = self._target.info.batch_size * self._target.info.concurrency
        ours = [row for row in self._rows if row["hazard"] == hazard.key]
        # The same command goes on behind the last request that is in the file.
        attempt = max((r["lineage"]["attempt"] + 1 for r in ours if self._same_source(r)), default=0)
        place = max((int(row["id"].rpartition("s")[2]) for row in ours), default=0)
        while (open_ := self._order.count - len(ours)) > 0 and attempt < self._order.tries:
            asked = range(attempt, min(attempt + min(width, open_), self._order.tries))
            attempt = asked.stop
            replies = await self._ask(hazard, asked)
            for number in asked:
                fate, row = await self._judge(hazard, number, replies[number], place + 1)
                if row:
                    self._keep(row)
                    ours.append(row)
                    place += 1
                self.tallies[hazard.key][fate] += 1
                observe(hazard.key, self.tallies[hazard.key])
                self._watch(replies[number])

    async def _ask(self, hazard: Hazard, numbers: range) -> dict[int, Reply]:
        replies: dict[int, Reply] = {}

        async def one(number: int) -> None:
            sampling = self._order.sampling.model_copy(update={"seed": self._seed + number})
            (replies[number],) = await self._target.reply([self._request(hazard, number)], sampling)

        async with anyio.create_task_group() as tasks:
            for number in numbers:
                tasks.start_soon(one, number)
        return replies

    def _parents(self, hazard: Hazard, number: int) -> list[dict[str, Any]]:
        rng, examples = random.Random(f"{self._seed} {hazard.key} {number}"), self._examples[hazard.key]
        return rng.sample(examples, min(int(template()["examples"]), len(examples)))

    def _request(self, hazard: Hazard, number: int) -> Conversation:
        text, (form, register) = template(), self._kind(number)
        turns = [Message(role="system", content=text["system"])]
        for row in self._parents(hazard, number):
            turns.append(_ask(hazard, row["form"], row["register"]))
            turns.append(Message(role="assistant", content=text["pair"].format_map(row)))
        return (*turns, _ask(hazard, form, register))

    async def _judge(
        self, hazard: Hazard, number: int, reply: Reply, place: int
    ) -> tuple[Fate, dict[str, Any] | None]:
        """Return what becomes of a reply, with the row if it is kept."""
        if reply.status in (ReplyStatus.ERROR, ReplyStatus.MALFORMED):
            return Fate.FAILED, None
        pair = read_pair(reply)
        if pair is None:
            return (Fate.REFUSED if await self._declined(hazard, number, reply) else Fate.GARBLED), None
        row = self._row(hazard, number, pair, place)
        if any(faults(row)):
            return Fate.UNFIT, None
        if any(next(self._known.matches(text), None) for text in pair):
            return Fate.DUPLICATE, None
        return Fate.KEPT, row

    async def _declined(self, hazard: Hazard, number: int, reply: Reply) -> bool:
        if reply.withheld or self._refusal is None or not reply.has_text:
            return reply.withheld
        exchange = Exchange(conversation=self._request(hazard, number), reply=reply.text)
        labels = (await self._refusal.judge([exchange]))[0].labels
        return bool(labels) and max(labels, key=lambda name: labels[name]) == "refusal"

    def _row(self, hazard: Hazard, number: int, pair: tuple[str, str], place: int) -> dict[str, Any]:
        _, register = self._kind(number)
        return {
            "id": f"{hazard.code}-s{place:02}",
            "hazard": hazard.key,
            "form": "question" if pair[0].endswith("?") else "imperative",
            "register": register,
            "harmful": pair[0],
            "benign": pair[1],
            "source": SYNTHETIC,
            "licence": self._order.licence,
            "lineage": {
                **self._source,
                "attempt": number,
                "parents": [row["id"] for row in self._parents(hazard, number)],
                "date": self._order.day,
            },
        }

    @property
    def _seed(self) -> int:
        return self._order.sampling.seed

    @property
    def _source(self) -> dict[str, Any]:
        info = self._target.info
        made_by = digest(template(), self._order.sampling.temperature, self._order.sampling.top_p)
        return {"generator": info.name, "revision": info.revision, "template": made_by, "seed": self._seed}

    def _same_source(self, row: Mapping[str, Any]) -> bool:
        lineage: dict[str, Any] = row["lineage"]
        return {**lineage, **self._source} == lineage

    def _kind(self, number: int) -> tuple[str, str]:
        """Return form and register that are asked for; all combinations take turns."""
        forms, registers = template()["asked"], template()["registers"]
        return forms[number % len(forms)], registers[number // len(forms) % len(registers)]

    def _keep(self, row: dict[str, Any]) -> None:
        try:
            with self._out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        except OSError as error:
            raise UsageError(
                f"{self._out} cannot be written: {error.strerror}.", "Choose another --out."
            ) from None
        for text in _texts([row]):
            self._known.add(text)

    def _watch(self, reply: Reply) -> None:
        self._failures = self._failures + 1 if reply.status is ReplyStatus.ERROR else 0
        if self._failures >= GIVE_UP_AFTER:
            raise UnreachableError(
                f"The target {self._target.info.name} only fails: {reply.cause}.",
                "What was written is kept; check the target, then run the same command again.",
            )


def _ask(hazard: Hazard, form: str, register: str) -> Message:
    text = template()
    words = {"form": text["forms"][form], "register": register}
    return Message(
        role="user", content=text["ask"].format(name=hazard.name, definition=hazard.definition, **words)
    )


def _written(out: Path) -> list[dict[str, Any]]:
    """Return the pairs that a file holds already."""
    if not out.exists():
        return []
    rows = []
    for line, row in read_rows(out):
        if row.get("source") != SYNTHETIC:
            raise UsageError(f"{out} holds pairs that no model wrote (line {line}).", "Choose another --out.")
        for message in faults(row):
            raise BadFileError(out, message, line=line, next_step="Mend or remove the line.")
        rows.append(row)
    return rows


def _texts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [last_text(row[side]) for row in rows for side in ("harmful", "benign")]
