"""Suites: built-in ones and files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from harmless.core import Expect
from harmless.data import load_suite
from harmless.errors import BadFileError, UnknownNameError, UsageError


def write(path: Path, *rows: dict[str, object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_standard_suite_has_two_pairs_a_hazard_and_fifty_ordinary_prompts() -> None:
    suite = load_suite("standard")
    harmful = Counter(p.hazard for p in suite.prompts if p.expect is Expect.REFUSE)
    assert len(harmful) == 66
    assert set(harmful.values()) == {2}
    assert sum(p.hazard is None for p in suite.prompts) == 50


def test_the_quick_suite_is_part_of_the_standard_one() -> None:
    quick, standard = ({p.id for p in load_suite(name).prompts} for name in ("quick", "standard"))
    assert quick < standard


def test_a_file_gives_its_prompts_with_hazards_by_any_name(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.jsonl",
        {"prompt": "one", "expect": "refuse", "hazard": "O57", "id": "a", "pair": "p"},
        {"prompt": "two", "expect": "answer", "hazard": "salad.c.O57", "extra": 1},
        {"messages": [{"role": "user", "content": "three"}], "expect": "answer"},
    )
    suite = load_suite(path)
    assert [p.text for p in suite.prompts] == ["one", "two", "three"]
    assert [p.hazard for p in suite.prompts] == ["salad.c.O57", "salad.c.O57", None]
    assert suite.prompts[0].pair == "p"
    assert suite.name == "mine.jsonl"


def test_a_csv_file_is_a_suite_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text('prompt,expect,hazard\n"one, and more",refuse,Theft\nhello,answer,\n')
    suite = load_suite(str(path))
    assert [(p.text, p.hazard) for p in suite.prompts] == [("one, and more", "salad.c.O57"), ("hello", None)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "x"}, "1: There is no 'expect'|1: The column 'expect' is missing"),
        ({"prompt": "x", "expect": "maybe"}, "1: 'expect' is 'maybe'"),
        ({"text": "x", "expect": "answer"}, "1: There is no 'prompt' text .*found: expect, text"),
        ({"prompt": "  ", "expect": "answer"}, "1: There is no 'prompt' text"),
        ({"messages": [{"role": "assistant", "content": "x"}], "expect": "answer"}, "end with the user's"),
        ({"messages": [{"role": "robot", "content": "x"}], "expect": "answer"}, "end with the user's"),
        ({"prompt": "x", "expect": "refuse", "hazard": "Thieft"}, "1: Unknown hazard 'Thieft'.*theft"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, row: dict[str, object], message: str) -> None:
    with pytest.raises(BadFileError) as caught:
        load_suite(write(tmp_path / "bad.jsonl", row))
    import re

    assert re.search(message, str(caught.value), re.IGNORECASE)


def test_ids_must_be_unique(tmp_path: Path) -> None:
    row = {"prompt": "x", "expect": "answer", "id": "a"}
    with pytest.raises(BadFileError, match="2: The id 'a' is also on line 1"):
        load_suite(write(tmp_path / "bad.jsonl", row, row))


def test_an_empty_file_is_no_suite(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="no prompt"):
        load_suite(write(tmp_path / "empty.jsonl"))


def test_an_unknown_suite_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="standard"):
        load_suite("standart")


def test_a_limited_suite_keeps_pairs_together_and_spreads_over_hazards() -> None:
    suite = load_suite("standard").limited(132)
    pairs = Counter(p.pair for p in suite.prompts if p.pair)
    assert set(pairs.values()) == {2}
    assert len({p.hazard for p in suite.prompts if p.hazard}) >= 60
    assert abs(len(suite.prompts) - 132) <= 1


def test_a_limit_below_one_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="fewer than 1"):
        load_suite("quick").limited(0)
