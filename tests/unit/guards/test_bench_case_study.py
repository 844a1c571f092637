"""The K-12 filter study takes as many unsafe as benign prompts, and says where they come from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from harmless.errors import UsageError
from harmless.guards.bench.case_study import case_study_rows, notes, published


def lines(path: Path, *texts: str) -> str:
    path.write_text("".join(f"{text}\n" for text in texts))
    return str(path)


def test_only_ranges_are_claimed_of_what_was_published() -> None:
    known = published()
    assert {name: (each.low, each.high) for name, each in known.measures.items()} == {
        "accuracy": (0.49, 0.90),
        "f1": (0.60, 0.89),
        "mean_latency_s": (0.43, 3.56),
    }
    assert set(known.unknown) == {"precision", "recall"}


def test_built_in_prompts_stand_in_and_that_is_said() -> None:
    rows, parts = case_study_rows({})
    taken = {part.kind: part.taken for part in parts}
    assert taken == {"profanity": 0, "unsafe": 462, "benign": 500}
    assert Counter(row.unsafe for row in rows.items) == {True: 462, False: 500}
    ordinary = [row for row in rows.items if not row.unsafe and row.hazard is None]
    assert len(ordinary) == 270
    said = " ".join(notes(parts))
    for part in (
        "ranges over all validators only",
        "unsafe prompts are built-in ones (twins)",
        "no profanity prompts",
        "462 unsafe and 500 benign",
    ):
        assert part in said


def test_half_of_the_unsafe_ones_is_profanity_where_there_is_enough(tmp_path: Path) -> None:
    swearing = lines(tmp_path / "swear.txt", *(f"darn number {i}" for i in range(300)))
    rows, parts = case_study_rows({"profanity": [swearing]}, size=100)
    assert {part.kind: part.taken for part in parts} == {"profanity": 50, "unsafe": 50, "benign": 100}
    assert Counter((row.source, row.unsafe) for row in rows.items) == {
        ("profanity", True): 50,
        ("unsafe", True): 50,
        ("benign", False): 100,
    }
    assert len({row.id for row in rows.items}) == 200


def test_one_kind_makes_up_for_the_other(tmp_path: Path) -> None:
    few = lines(tmp_path / "few.txt", "darn", "drat")
    many = lines(tmp_path / "many.txt", *(f"swear {i}" for i in range(90)))
    _, parts = case_study_rows({"profanity": [few]}, size=100)
    assert [part.taken for part in parts] == [2, 98, 100]
    _, parts = case_study_rows({"profanity": [many], "unsafe": [few]}, size=80)
    assert [part.taken for part in parts] == [78, 2, 80]


def test_labelled_data_give_each_part_its_own_rows_and_no_text_counts_twice(tmp_path: Path) -> None:
    both = tmp_path / "both.csv"
    both.write_text("prompt,unsafe\nhow to rob a bank,1\nhow to open a bank account,0\n")
    again = lines(tmp_path / "again.txt", "How to  ROB a bank", "how to bake")
    rows, parts = case_study_rows({"unsafe": [str(both)], "benign": [str(both), again]}, size=10)
    assert [(row.exchange.prompt, row.unsafe) for row in rows.items if row.unsafe] == [
        ("how to rob a bank", True)
    ]
    assert {row.exchange.prompt for row in rows.items if not row.unsafe} == {
        "how to open a bank account",
        "how to bake",
    }
    assert [part.built_in for part in parts] == [True, False, False]
    assert set(rows.files) == {both, Path(again)}


def test_the_seed_decides_the_sample() -> None:
    once, _ = case_study_rows({}, size=20, seed=1)
    assert once == case_study_rows({}, size=20, seed=1)[0]
    assert once != case_study_rows({}, size=20, seed=2)[0]


def test_a_part_that_was_asked_for_and_is_empty_is_a_mistake(tmp_path: Path) -> None:
    safe = tmp_path / "safe.csv"
    safe.write_text("prompt,unsafe\nhello,0\n")
    with pytest.raises(UsageError, match="no unsafe prompt"):
        case_study_rows({"unsafe": [str(safe)]})
