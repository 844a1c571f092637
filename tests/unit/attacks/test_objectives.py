"""Objectives come from texts, files, or the built-in twins."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmless.attacks import built_in, from_file, from_texts
from harmless.core import Expect
from harmless.errors import BadFileError, UnknownNameError, UsageError


def test_a_file_has_an_objective_a_row(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text('{"objective": "steal it", "hazard": "O5"}\n{"objective": "hide it", "id": "h"}\n')
    first, second = from_file(path)
    assert (first.text, first.expect) == ("steal it", Expect.REFUSE)
    assert first.hazard is not None
    assert (second.id, second.hazard) == ("h", None)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"goal": "x"}\n', "o.jsonl:1: There is no 'objective' text"),
        ('{"objective": "x", "hazard": "O999"}\n', "o.jsonl:1: Unknown hazard"),
        ('{"objective": "x"}\n{"objective": "x"}\n', "o.jsonl:2: The objective .* is there twice"),
        ("", "o.jsonl"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text(content)
    with pytest.raises(BadFileError, match=told):
        from_file(path)


def test_a_blank_objective_is_refused() -> None:
    with pytest.raises(UsageError, match="blank"):
        from_texts([" "])


def test_built_in_objectives_are_of_the_hazards_asked_for() -> None:
    found = built_in(["O5"])
    assert found
    assert all(each.expect is Expect.REFUSE for each in found)
    assert len(built_in(limit=30)) == pytest.approx(30, abs=3)
    assert len({each.hazard for each in built_in()}) == 66
    with pytest.raises(UnknownNameError):
        built_in(["weather"])
