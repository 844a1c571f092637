"""The memory of PyRIT (Microsoft) as JSON: a list of message pieces.

Written by ``memory.export_conversations(file_path=...)`` up to 0.14, or, since 1.0 has no exporter, with
``json.dump([piece.model_dump(mode="json") for piece in memory.get_message_pieces()], file)``.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harmless.core import Message, Reply, ReplyStatus
from harmless.errors import BadFileError
from harmless.interop.imported import Foreign, Imported, ImportedAttempt, hazard_of, parsed

_STATUSES = {"none": ReplyStatus.COMPLETE, "blocked": ReplyStatus.FILTERED, "empty": ReplyStatus.EMPTY}
_HIT = 0.5


class _Score(Foreign):
    score_value: str | bool | float
    score_type: str = "true_false"
    scorer_class_identifier: Mapping[str, Any] | None = None

    def value(self) -> float | None:
        """Return the score as a number from 0 to 1, None if it is none."""
        said = str(self.score_value).strip().casefold()
        if said in ("true", "false"):
            return float(said == "true")
        try:
            return min(max(float(said), 0.0), 1.0)
        except ValueError:
            return None


class _Piece(Foreign):
    id: str
    role: Literal["system", "developer", "user", "assistant", "simulated_assistant", "tool"]
    conversation_id: str
    sequence: int = -1
    original_value: str
    original_value_data_type: str = "text"
    converted_value: str = ""
    converted_value_data_type: str = "text"
    response_error: str = "none"
    original_prompt_id: str | None = None
    prompt_target_identifier: Mapping[str, Any] | None = None
    attack_identifier: Mapping[str, Any] | None = None
    orchestrator_identifier: Mapping[str, Any] | None = None
    converter_identifiers: tuple[Mapping[str, Any], ...] = ()
    targeted_harm_categories: tuple[str, ...] | None = None
    scores: tuple[_Score, ...] = Field(default=())

    @property
    def says(self) -> str:
        return self.converted_value or self.original_value

    @property
    def is_copy(self) -> bool:
        """Whether it is of a conversation that was copied to go on from it, and stands elsewhere already."""
        return self.original_prompt_id not in (None, self.id)


def fits(document: Any) -> bool:
    """Return whether a document is a list of message pieces."""
    first = document[0] if isinstance(document, list) and document else None
    return isinstance(first, dict) and {"conversation_id", "original_value"} <= first.keys()


def read(path: Path, text: str) -> Imported:
    """Return one attempt a reply; the objective is what the user's message was before it was converted.

    Raises:
        BadFileError: it is not what PyRIT writes.
    """
    skipped = Counter[str]()
    talks: dict[str, list[_Piece]] = defaultdict(list)
    for number, row in enumerate(_rows(path, text)):
        piece = parsed(path, _Piece, row, (number,))
        talks[piece.conversation_id].append(piece)
    made = [each for talk in talks.values() for each in _replies(talk, skipped)]
    return Imported(tool="PyRIT", target="unknown", attempts=tuple(made), skipped=dict(skipped), source="PyRIT")


def _rows(path: Path, text: str) -> list[Any]:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadFileError(path, f"Not JSON: {error.msg}.", line=error.lineno, column=error.colno) from None
    return rows if isinstance(rows, list) else [rows]


def _replies(talk: Sequence[_Piece], skipped: Counter[str]) -> Iterator[ImportedAttempt]:
    said: list[Message] = []
    asked: _Piece | None = None
    for piece in sorted(talk, key=lambda each: each.sequence):
        if piece.converted_value_data_type not in ("text", "error"):
            skipped[f"a piece of {piece.converted_value_data_type}"] += 1
            continue
        if piece.role == "assistant":
            if asked and said and said[-1].role == "user" and not piece.is_copy:
                yield _attempt(tuple(said), asked, piece)
            elif not asked:
                skipped["a reply without a prompt"] += 1
        role: Literal["system", "user", "assistant"]
        if piece.role in ("assistant", "simulated_assistant"):
            role = "assistant"
        elif piece.role in ("system", "developer"):
            role = "system"
        else:
            role, asked = "user", piece
        said.append(Message(role=role, content=piece.says))


def _attempt(said: tuple[Message, ...], asked: _Piece, reply: _Piece) -> ImportedAttempt:
    values = [value for score in reply.scores if (value := score.value()) is not None]
    score = max(values, default=None)
    text = asked.original_value if asked.original_value_data_type == "text" else asked.says
    attack = _name(asked.attack_identifier or asked.orchestrator_identifier)
    converters = [_name(each) for each in asked.converter_identifiers]
    scorers = sorted({_name(each.scorer_class_identifier) for each in reply.scores} - {""})
    return ImportedAttempt(
        attack=" ".join(part for part in ("pyrit", attack, " ".join(converters)) if part),
        objective=text if text.strip() else said[-1].content,
        conversation=said,
        reply=_reply(reply),
        target=_name(reply.prompt_target_identifier or asked.prompt_target_identifier),
        success=None if score is None else score >= _HIT,
        score=score,
        by=", ".join(scorers),
        hazard=hazard_of(asked.targeted_harm_categories or ()),
        note=", ".join(asked.targeted_harm_categories or ()),
    )


def _reply(piece: _Piece) -> Reply:
    status = _STATUSES.get(piece.response_error, ReplyStatus.ERROR)
    if status is ReplyStatus.COMPLETE:
        empty = not piece.says.strip()
        return Reply(status=ReplyStatus.EMPTY if empty else status, text=piece.says)
    return Reply(status=status, cause=f"{piece.response_error} in PyRIT")


def _name(identifier: Mapping[str, Any] | None) -> str:
    """Return the name in an identifier; the key depends on the version."""
    known = identifier or {}
    return str(next((known[key] for key in ("model_name", "__type__", "class_name") if known.get(key)), ""))
