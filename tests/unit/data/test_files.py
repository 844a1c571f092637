"""Reading files that users bring."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from harmless.data import read_rows
from harmless.data.files import is_data_file
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


def test_empty_cells_of_a_csv_are_none(tmp_path: Path) -> None:
    assert rows(tmp_path / "a.csv", b"a,b\n,2\n") == [{"a": None, "b": "2"}]


def test_tabs_separate_the_columns_of_a_tsv(tmp_path: Path) -> None:
    assert rows(tmp_path / "a.tsv", b'a\tb\n1,5\t"x\ty"\n') == [{"a": "1,5", "b": "x\ty"}]


def test_a_json_array_gives_its_objects_with_the_line_where_each_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[\n {"a": 1,\n  "b": "]"},\n\n {"a": 2}\n]\n')
    assert list(read_rows(path)) == [(2, {"a": 1, "b": "]"}), (5, {"a": 2})]


def test_json_lines_under_the_name_of_json_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    assert list(read_rows(path)) == [(1, {"a": 1}), (2, {"a": 2})]
    assert rows(path, b'{\n "a": {"b": [1]}\n}') == [{"a": {"b": [1]}}]
    assert rows(path, b"[]") == rows(path, b" ") == []


def test_lines_of_a_text_are_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\r\n\n two, three \n")
    assert list(read_rows(path)) == [(1, {"text": "one"}), (3, {"text": " two, three "})]


def test_a_parquet_file_gives_its_rows(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.Table.from_pylist([{"a": 1, "b": ["x"]}, {"a": None, "b": []}])
    parquet.write_table(table, tmp_path / "a.parquet")
    assert list(read_rows(tmp_path / "a.parquet")) == [(1, {"a": 1, "b": ["x"]}), (2, {"a": None, "b": []})]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("a.jsonl", True),
        ("b.CSV.gz", True),
        ("c.parquet", True),
        ("quick", False),
        ("jsonl", False),
        ("a.py", False),
    ],
)
def test_data_files_are_told_by_their_names(name: str, answer: bool) -> None:
    assert is_data_file(name) == answer


def test_gzip_is_read_like_the_plain_file(tmp_path: Path) -> None:
    assert rows(tmp_path / "a.jsonl.gz", gzip.compress(b'{"prompt": "x"}', mtime=0)) == [{"prompt": "x"}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": }\n', r"a\.jsonl:2:7: Not JSON"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl:1: Not a JSON object"),
        ("a.jsonl", b'{"a": "\xff"}', r"a\.jsonl:1: Byte 0xff is not UTF-8"),
        ("a.csv", b"a,b\n1\n", r"a\.csv:2: Expected 2 columns"),
        ("a.csv", b"a,b\n1,2,3\n", r"a\.csv:2: Expected 2 columns"),
        ("a.jsonl.gz", gzip.compress(b'{"a": "' + bytes(range(65, 91)) * 9 + b'"}', mtime=0)[:30], "truncated"),
        ("a.jsonl.gz", b"no gzip", "cannot be read"),
        ("a.jsonl.gz", gzip.compress(b"{}", mtime=0)[:10] + b"\xff" * 40, "cannot be read"),
        ("a.json", b'[{"a": 1},\n {"a" 2}]', r"a\.json:2:7: Not JSON"),
        ("a.json", b'[{"a": 1},\n 2]', r"a\.json:2: Not a JSON object"),
        ("a.json", b'[{"a": 1},\n', r"a\.json:2: The array does not end"),
        ("a.tsv", b"a\tb\n1\n", r"a\.tsv:2: Expected 2 columns"),
        ("a.csv", b'a,b\n1,"2\n', r"a\.csv:2: Not CSV"),
        ("a.xlsx", b"", "cannot be read"),
    ],
)
def test_a_bad_file_is_named_with_the_place(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(BadFileError, match=message):
        rows(tmp_path / name, content)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="no such file"):
        list(read_rows(tmp_path / "none.jsonl"))
