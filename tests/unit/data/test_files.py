"""Reading files that users bring."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from harmless.data import read_rows
from harmless.errors import BadFileError


def rows(path: Path, content: bytes) -> list[dict[str, object]]:
    path.write_bytes(content)
    return [row for _, row in read_rows(path)]


def test_jsonl_rows_come_with_their_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "x"}\n\n{"prompt": "y"}\n')
    assert list(read_rows(path)) == [(1, {"prompt": "x"}), (3, {"prompt": "y"})]


def test_line_separators_inside_strings_do_not_break_a_row(tmp_path: Path) -> None:
    row = {"prompt": "a\u2028b\u0085c"}
    assert rows(tmp_path / "a.jsonl", json.dumps(row, ensure_ascii=False).encode()) == [row]


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    assert rows(tmp_path / "a.csv", b"\xef\xbb\xbfprompt,expect\nhi,answer\n") == [
        {"prompt": "hi", "expect": "answer"}
    ]


def test_gzip_is_read_like_the_plain_file(tmp_path: Path) -> None:
    assert rows(tmp_path / "a.jsonl.gz", gzip.compress(b'{"prompt": "x"}')) == [{"prompt": "x"}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": }\n', r"a\.jsonl:2:7: Not JSON"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl:1: Not a JSON object"),
        ("a.jsonl", b'{"a": "\xff"}', r"a\.jsonl:1: Byte 0xff is not UTF-8"),
        ("a.csv", b"a,b\n1\n", r"a\.csv:2: Expected 2 columns"),
        ("a.csv", b"a,b\n1,2,3\n", r"a\.csv:2: Expected 2 columns"),
        ("a.jsonl.gz", gzip.compress(b'{"a": "' + bytes(range(65, 91)) * 50 + b'"}')[:30], "truncated"),
        ("a.jsonl.gz", b"no gzip", "cannot be read"),
        ("a.xlsx", b"", "cannot be read"),
    ],
)
def test_a_bad_file_is_named_with_the_place(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(BadFileError, match=message):
        rows(tmp_path / name, content)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="no such file"):
        list(read_rows(tmp_path / "none.jsonl"))
