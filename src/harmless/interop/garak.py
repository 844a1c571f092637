"""``report.jsonl`` of garak (NVIDIA), 0.9 to 0.17: one JSON object a line, told apart by ``entry_type``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from harmless.core import Conversation, Message, Reply, ReplyStatus
from harmless.errors import BadFileError
from harmless.interop.imported import Foreign, Imported, ImportedAttempt, parsed

#: Score from which a detector says that the probe succeeded: garak's own default.
_HIT = 0.5
_COMPLETE = 2


class _Text(Foreign):
    text: str | None = None


class _Turn(Foreign):
    role: Literal["system", "user", "assistant"]
    content: _Text | str | None

    def message(self) -> Message:
        said = self.content.text if isinstance(self.content, _Text) else self.content
        return Message(role=self.role, content=said or "")


class _Turns(Foreign):
    turns: tuple[_Turn, ...]

    def conversation(self) -> Conversation:
        return tuple(turn.message() for turn in self.turns)


class _Attempt(Foreign):
    uuid: str = ""
    status: int = _COMPLETE
    probe_classname: str
    prompt: _Turns | _Text | str | None = None
    outputs: tuple[_Text | str | None, ...] = ()
    conversations: tuple[_Turns, ...] = ()
    detector_results: Mapping[str, tuple[float | None, ...]] = {}

    def asked(self, number: int) -> Conversation:
        """Return what the reply of that number answers."""
        if len(self.conversations) == len(self.outputs):
            turns = self.conversations[number].conversation()
            last = max((i for i, turn in enumerate(turns) if turn.role == "assistant"), default=len(turns))
            return turns[:last]
        if isinstance(self.prompt, _Turns):
            return self.prompt.conversation()
        said = self.prompt.text if isinstance(self.prompt, _Text) else self.prompt
        return (Message(role="user", content=said or ""),)


def fits(document: Any) -> bool:
    """Return whether the first line of a file is one of garak's."""
    return isinstance(document, dict) and "entry_type" in document


def read(path: Path, text: str) -> Imported:
    """Return the attempts of a report; one that was judged counts with its judgement.

    The objective is the prompt as it was sent: a report does not say more.

    Raises:
        BadFileError: a line is not what garak writes.
    """
    tool, target, skipped = "garak", "unknown", Counter[str]()
    found: dict[str, _Attempt] = {}
    for number, entry in _entries(path, text):
        kind = entry.get("entry_type")
        if kind == "init":
            tool = f"garak {entry.get('garak_version', '')}".strip()
        elif kind == "start_run setup":
            target = _target(entry)
        elif kind == "attempt":
            attempt = parsed(path, _Attempt, entry, (), number)
            key = attempt.uuid or str(number)
            if key not in found or attempt.status >= found[key].status:
                found[key] = attempt
    made = [each for attempt in found.values() for each in _replies(attempt, skipped)]
    return Imported(tool=tool, target=target, attempts=tuple(made), skipped=dict(skipped), source="garak")


def _entries(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadFileError(
                path, f"Not JSON: {error.msg}.", line=number, column=error.colno,
                next_step="A run that was killed leaves half a line: remove it.",
            ) from None  # fmt: skip
        if not isinstance(entry, dict):
            raise BadFileError(path, "Not a JSON object.", line=number, next_step="One object a line.")
        yield number, entry


def _target(setup: Mapping[str, Any]) -> str:
    parts = (
        next((setup[key] for key in (f"plugins.target_{part}", f"plugins.model_{part}") if setup.get(key)), "")
        for part in ("type", "name")
    )
    return ":".join(str(part) for part in parts if part) or "unknown"


def _replies(attempt: _Attempt, skipped: Counter[str]) -> Iterator[ImportedAttempt]:
    for number, output in enumerate(attempt.outputs):
        asked = attempt.asked(number)
        if not asked or asked[-1].role != "user" or not asked[-1].content.strip():
            skipped["no prompt in words"] += 1
            continue
        said = output.text if isinstance(output, _Text) else output
        scores = {
            name: found[number]
            for name, found in attempt.detector_results.items()
            if number < len(found) and found[number] is not None
        }
        score = max(scores.values(), default=None)  # type: ignore[type-var]
        yield ImportedAttempt(
            attack=f"garak {attempt.probe_classname}",
            objective=asked[-1].content,
            conversation=asked,
            reply=_reply(said),
            success=None if score is None else score >= _HIT,
            score=None if score is None else min(max(score, 0.0), 1.0),
            by=", ".join(sorted(scores)),
        )


def _reply(said: str | None) -> Reply:
    if said is None:
        return Reply.error("no output in the report")
    return Reply(status=ReplyStatus.COMPLETE if said.strip() else ReplyStatus.EMPTY, text=said)
