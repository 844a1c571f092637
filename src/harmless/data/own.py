"""The prompts of a file that the user brings: plain rows, questions with options, or pairs of twins."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harmless import taxonomy
from harmless.core import Conversation, Expect, Message, Prompt, digest, user
from harmless.data.fields import RowError
from harmless.data.files import read_rows
from harmless.data.readers.choices import LETTERS, asked
from harmless.data.twins import prompts_of_pair
from harmless.errors import BadFileError, UnknownNameError

_KEPT = ("pair", "cluster", "source", "licence", "language")
_BETWEEN_LETTERS = re.compile(r"[\s,;]+")


def prompts_of(path: Path) -> Iterator[Prompt]:
    """Yield the prompts of a file; see :func:`harmless.data.load_suite` for its columns.

    Raises:
        BadFileError: a row is not what it should be, or there is none; names the line.
    """
    seen: dict[str, int] = {}
    for line, row in read_rows(path):
        try:
            found = _prompts(row)
        except RowError as error:
            raise BadFileError(path, error.message, line=line, next_step=error.next_step) from None
        for prompt in found:
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


def conversation_of(path: Path, line: int, row: Mapping[str, Any]) -> Conversation:
    """Return the conversation of a row with ``prompt`` or ``messages``; BadFileError if it has neither."""
    try:
        return _conversation(row)
    except RowError as error:
        raise BadFileError(path, error.message, line=line, next_step=error.next_step) from None


def _prompts(row: Mapping[str, Any]) -> tuple[Prompt, ...]:
    if "harmful" in row and "benign" in row and "expect" not in row:
        return _twins(row)
    return (_prompt(row),)


def _prompt(row: Mapping[str, Any]) -> Prompt:
    expect = row.get("expect")
    if expect not in tuple(Expect):
        raise RowError(
            f"'expect' is {expect!r}."
            if "expect" in row
            else f"The column 'expect' is missing (found: {_columns(row)}).",
            "Use 'refuse' for harmful prompts, 'answer' for benign ones, 'choose' for questions with options.",
        )
    conversation, choice = _conversation(row), _choice(row)
    if choice:
        *before, last = conversation
        question = Message(role="user", content=asked(last.content, choice["options"]))
        conversation, choice["meta"] = (*before, question), {"question": last.content}
    elif row.get("objective"):
        choice["meta"] = {"objective": str(row["objective"])}
    return Prompt(
        id=str(row.get("id") or digest(conversation, expect, length=10)),
        conversation=conversation,
        expect=Expect(expect),
        hazard=_hazard(row),
        **choice,
        **{k: str(row[k]) for k in _KEPT if row.get(k)},
    )


def _twins(row: Mapping[str, Any]) -> tuple[Prompt, ...]:
    try:
        return tuple(prompts_of_pair({"source": "", "licence": "", **row, "hazard": _hazard(row)}))
    except (KeyError, TypeError, ValueError):
        raise RowError(
            f"It is no pair of twins (found: {_columns(row)}).",
            "'id', 'hazard', 'harmful' and 'benign' are wanted; look with: harmless data validate FILE.",
        ) from None


def _hazard(row: Mapping[str, Any]) -> str | None:
    given = row.get("hazard")
    try:
        return taxonomy.load().hazard(str(given)).key if given else None
    except UnknownNameError as error:
        raise RowError(error.message, error.next_step) from None


def _conversation(row: Mapping[str, Any]) -> Conversation:
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
    raise RowError(
        f"There is no 'prompt' text and no 'messages' that end with the user's (found: {_columns(row)}).",
        "Name the column with the text 'prompt'.",
    )


def _choice(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return options and correct positions of a question with options; nothing for another prompt."""
    given = [name for name in ("options", "correct") if row.get(name)]
    if row["expect"] != Expect.CHOOSE:
        if given:
            raise RowError(
                f"'{given[0]}' is given, but 'expect' is '{row['expect']}'.",
                "Say 'choose' where an option is to be chosen.",
            )
        return {}
    if len(given) < 2:
        missing = "correct" if given == ["options"] else "options"
        raise RowError(
            f"'expect' is 'choose', and '{missing}' is missing (found: {_columns(row)}).",
            "Give the texts to choose from as 'options', and the letters of the right ones as 'correct'.",
        )
    options = _options(row["options"])
    return {"options": options, "correct": _correct(row["correct"], len(options))}


def _options(value: Any) -> tuple[str, ...]:
    """Return the options: a list, or one cell with a JSON list or with ``|`` between them."""
    if isinstance(value, str):
        value = _json_list(value) or value.split("|")
    texts = [str(each).strip() for each in value] if isinstance(value, list) else []
    if not all(texts) or not 2 <= len(texts) <= len(LETTERS):
        raise RowError(
            "'options' are not 2 to 26 texts.", "Give a list, or in CSV one cell with '|' between the texts."
        )
    if len(set(texts)) < len(texts):
        raise RowError("An option is there twice.", "Options must differ.")
    return tuple(texts)


def _correct(value: Any, count: int) -> tuple[int, ...]:
    given = _json_list(value) if isinstance(value, str) else value if isinstance(value, list) else None
    letters = [str(each) for each in given] if given else _BETWEEN_LETTERS.split(str(value).strip())
    known = LETTERS[:count]
    if not all(len(letter) == 1 and letter.upper() in known for letter in letters):
        raise RowError(
            f"'correct' is {value!r}.", f"Letters are wanted: A is the first option, {known[-1]} the last."
        )
    return tuple(sorted({known.index(letter.upper()) for letter in letters}))


def _json_list(text: str) -> list[Any] | None:
    if not text.lstrip().startswith("["):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def _columns(row: Mapping[str, Any]) -> str:
    return ", ".join(sorted(map(str, row))) or "nothing"
