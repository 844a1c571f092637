"""Rows of fine-tuning sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harmless.core import user
from harmless.data.lessons import Lesson, read_lessons
from harmless.errors import BadFileError

ASKED = {"role": "user", "content": "hi"}
SAID = {"role": "assistant", "content": "hello"}


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "set.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "hi", "reply": "hello"},
        {"instruction": "hi", "input": "", "output": "hello"},
        {"messages": [ASKED, SAID]},
        {"messages": [ASKED], "completion": "hello"},
        {"prompt": [ASKED], "completion": [SAID]},
    ],
)
def test_every_layout_teaches_the_same(tmp_path: Path, row: dict[str, Any]) -> None:
    assert list(read_lessons(written(tmp_path, row))) == [(row, Lesson(user("hi"), "hello"))]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "hi", "chosen": "hello", "rejected": "no"},
        {"prompt": "hi", "good": "hello", "bad": "no"},
        {"prompt": "hi", "chosen": [SAID], "rejected": [{**SAID, "content": "no"}]},
        {"chosen": [ASKED, SAID], "rejected": [ASKED, {**SAID, "content": "no"}]},
        {"chosen": "\n\nHuman: hi\n\nAssistant: hello", "rejected": "\n\nHuman: hi\n\nAssistant: no"},
    ],
)
def test_every_layout_of_preferences_has_both_replies(tmp_path: Path, row: dict[str, Any]) -> None:
    ((_, lesson),) = read_lessons(written(tmp_path, row))
    assert lesson == Lesson(user("hi"), "hello", "no")


def test_an_instruction_has_its_input_behind_it(tmp_path: Path) -> None:
    ((_, lesson),) = read_lessons(written(tmp_path, {"instruction": "Sum", "input": "1 2", "output": "3"}))
    assert lesson.prompt == "Sum\n\n1 2"


def test_a_row_that_ends_without_a_reply_is_read_and_teaches_nothing(tmp_path: Path) -> None:
    ((_, lesson),) = read_lessons(written(tmp_path, {"messages": [ASKED]}))
    assert lesson.reply == ""


@pytest.mark.parametrize(
    "row", [{"prompt": "hi"}, {"text": "hi"}, {"messages": [{"content": "hi"}]}, {"reply": "x"}]
)
def test_a_row_that_is_no_lesson_is_named_by_its_line(tmp_path: Path, row: dict[str, Any]) -> None:
    with pytest.raises(BadFileError, match=r"set\.jsonl:2"):
        list(read_lessons(written(tmp_path, {"prompt": "hi", "reply": "x"}, row)))


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="no row"):
        list(read_lessons(written(tmp_path)))
