"""A suite is a named list of prompts: a built-in one, or a file that the user brings."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harmless import taxonomy
from harmless.core import Conversation, Expect, Message, Prompt, digest, user
from harmless.data.files import read_rows
from harmless.data.twins import ordinary, twins
from harmless.errors import BadFileError, UnknownNameError, UsageError

#: Built-in suites: name -> pairs of twins a hazard (None for all), ordinary prompts, what it is for.
BUILTIN: Mapping[str, tuple[int | None, int, str]] = {
    "quick": (1, 20, "one pair of twins for each of the 66 hazards and 20 ordinary prompts"),
    "standard": (2, 50, "two pairs of twins for each of the 66 hazards and 50 ordinary prompts"),
    "twins": (None, 0, "all pairs of twins"),
}

_ANSWERS = ("answer", "refuse", "choose")


@dataclass(frozen=True, slots=True)
class Suite:
    """A named list of prompts; ``source`` says where they come from."""

    name: str
    prompts: tuple[Prompt, ...]
    source: str = ""

    def limited(self, limit: int, seed: int = 0) -> Suite:
        """Return a sample of about ``limit`` prompts, stratified by hazard; pairs of twins stay together."""
        if limit < 1:
            raise UsageError("A suite cannot be limited to fewer than 1 prompt.", "Use --limit 1 or more.")
        groups: dict[str, list[Prompt]] = defaultdict(list)
        for prompt in self.prompts:
            groups[prompt.pair or prompt.id].append(prompt)
        strata: dict[str, list[list[Prompt]]] = defaultdict(list)
        rng = random.Random(seed)
        for group in groups.values():
            strata[next((p.hazard for p in group if p.hazard), "")].append(group)
        for stratum in strata.values():
            rng.shuffle(stratum)
        chosen: set[str] = set()
        for rank in range(max((len(s) for s in strata.values()), default=0)):
            for name in sorted(strata):
                if rank < len(strata[name]) and len(chosen) < limit:
                    chosen.update(p.id for p in strata[name][rank])
        return Suite(self.name, tuple(p for p in self.prompts if p.id in chosen), self.source)


def load_suite(name: str) -> Suite:
    """Return the built-in suite of that name, or the one in the JSONL or CSV file of that path.

    A file has the columns ``prompt`` (or ``messages``, JSONL only) and ``expect`` (``refuse`` or ``answer``),
    and may have ``id``, ``hazard`` (key, code or name), ``pair``, ``cluster``, ``source``, ``licence``,
    ``language``; other columns are ignored.

    Raises:
        UnknownNameError: neither a suite nor a file, or a row names an unknown hazard.
        BadFileError: a row is not what it should be; names the line.
    """
    if name in BUILTIN:
        pairs, plain, source = BUILTIN[name]
        return Suite(name, (*twins(pairs), *ordinary("ordinary", plain)), source)
    path = Path(name)
    if path.suffix.lower() not in (".jsonl", ".csv", ".gz") and not path.exists():
        raise UnknownNameError("suite", name, [*BUILTIN, "FILE.jsonl", "FILE.csv"])
    return Suite(path.name, tuple(_prompts(path)), str(path))


def _prompts(path: Path) -> Iterable[Prompt]:
    seen: dict[str, int] = {}
    for line, row in read_rows(path):
        prompt = _prompt(path, line, row)
        if prompt.id in seen:
            raise BadFileError(
                path,
                f"The id '{prompt.id}' is also on line {seen[prompt.id]}.",
                line=line,
                next_step="Make ids unique.",
            )
        seen[prompt.id] = line
        yield prompt
    if not seen:
        raise BadFileError(path, "There is no prompt in it.", next_step="One row a prompt.")


def _prompt(path: Path, line: int, row: Mapping[str, Any]) -> Prompt:
    expect = row.get("expect")
    if expect not in _ANSWERS:
        raise BadFileError(
            path,
            f"'expect' is {expect!r}."
            if "expect" in row
            else f"The column 'expect' is missing (found: {_columns(row)}).",
            line=line,
            next_step="Use 'refuse' for harmful prompts and 'answer' for benign ones.",
        )
    conversation = conversation_of(path, line, row)
    given = row.get("hazard")
    try:
        hazard = taxonomy.load().hazard(str(given)).key if given else None
    except UnknownNameError as error:
        raise BadFileError(path, error.message, line=line, next_step=error.next_step) from None
    return Prompt(
        id=str(row.get("id") or f"{digest(conversation, expect, length=10)}"),
        conversation=conversation,
        expect=Expect(expect),
        hazard=hazard,
        **{k: str(row[k]) for k in ("pair", "cluster", "source", "licence", "language") if row.get(k)},
    )


def conversation_of(path: Path, line: int, row: Mapping[str, Any]) -> Conversation:
    """Return the conversation of a row with ``prompt`` or ``messages``; BadFileError if it has neither."""
    messages, text = row.get("messages"), row.get("prompt")
    try:
        if messages is not None:
            conversation = tuple(Message.model_validate(m) for m in messages)
            if conversation and conversation[-1].role == "user" and conversation[-1].content.strip():
                return conversation
        elif isinstance(text, str) and text.strip():
            return user(text)
    except (ValueError, TypeError):
        pass
    raise BadFileError(
        path,
        f"There is no 'prompt' text and no 'messages' that end with the user's (found: {_columns(row)}).",
        line=line,
        next_step="Name the column with the text 'prompt'.",
    )


def _columns(row: Mapping[str, Any]) -> str:
    return ", ".join(sorted(map(str, row))) or "nothing"
