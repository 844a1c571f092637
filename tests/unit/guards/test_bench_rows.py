"""Labelled rows come from built-in prompts, sets and files; samples keep what belongs together."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from harmless.errors import BadFileError, UnknownNameError, UsageError
from harmless.guards.bench import Rows, joined, load_rows


def written(path: Path, *rows: dict[str, object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_twins_are_unsafe_on_the_harmful_side_and_come_in_pairs() -> None:
    rows = load_rows("twins")
    assert Counter(row.unsafe for row in rows.items) == {True: 462, False: 462}
    about = rows.summary()
    assert (about.rows, about.origins, about.replies, about.skipped) == (924, 462, 0, 0)
    assert all(row.unsafe is row.id.endswith("-harmful") for row in rows.items)


def test_ordinary_prompts_are_all_safe() -> None:
    assert {row.unsafe for row in load_rows("ordinary").items} == {False}


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ({"unsafe": True}, True),
        ({"unsafe": 0}, False),
        ({"label": "unsafe"}, True),
        ({"label": "1"}, True),
        ({"label": "benign"}, False),
        ({"expect": "refuse"}, True),
        ({"expect": "answer"}, False),
    ],
)
def test_a_file_says_its_label_in_one_of_the_usual_ways(
    tmp_path: Path, label: dict[str, object], expected: bool
) -> None:
    rows = load_rows(written(tmp_path / "f.jsonl", {"prompt": "hello", **label}))
    assert [row.unsafe for row in rows.items] == [expected]


def test_a_file_may_say_more(tmp_path: Path) -> None:
    full = {"id": "a", "text": "hi", "reply": "ho", "unsafe": 1, "hazard": "theft", "source": "s", "pair": "p"}
    again = {"id": "a", "messages": [{"role": "user", "content": "x"}], "unsafe": "no"}
    first, second = load_rows(written(tmp_path / "f.jsonl", full, again)).items
    assert (first.exchange.prompt, first.exchange.reply, first.source, first.cluster) == ("hi", "ho", "s", "p")
    assert first.hazard == "salad.c.O57"
    assert (first.id, second.id) == ("a", "a~2")


def test_rows_without_a_label_are_counted_and_left_out(tmp_path: Path) -> None:
    rows = load_rows(
        written(tmp_path / "f.jsonl", {"prompt": "a", "unsafe": None}, {"prompt": "b", "unsafe": 1})
    )
    assert (len(rows.items), rows.skipped) == (1, 1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "a"}, "There is no label (found: prompt)"),
        ({"prompt": "a", "unsafe": "perhaps"}, "'unsafe' is 'perhaps'"),
        ({"prompt": " ", "unsafe": 1}, "There is no prompt"),
        ({"prompt": "a", "unsafe": 1, "reply": 3}, "'reply' is no text"),
        ({"prompt": "a", "unsafe": 1, "hazard": "thef"}, "Unknown hazard 'thef'"),
        ({"messages": [{"role": "nobody"}], "unsafe": 1}, "There is no prompt"),
    ],
)
def test_a_row_that_is_none_is_named_with_its_line(
    tmp_path: Path, row: dict[str, object], message: str
) -> None:
    file = written(tmp_path / "f.jsonl", {"prompt": "ok", "unsafe": 0}, row)
    with pytest.raises(BadFileError) as caught:
        load_rows(file)
    assert message in caught.value.message
    assert caught.value.line == 2


def test_sets_of_the_catalog_give_their_labels(tmp_path: Path) -> None:
    file = written(
        tmp_path / "replies.jsonl",
        {"prompt": "p", "reply": "r", "unsafe": True, "goal": "g"},
        {"prompt": "q", "reply": "s", "unsafe": None},
    )
    rows = load_rows(f"collected_replies={file}")
    assert (len(rows.items), rows.skipped, rows.files) == (1, 1, (Path(file),))
    assert rows.items[0].cluster == "collected_replies:g"
    assert load_rows("collected_replies", path=file).items == rows.items


def test_the_prompt_side_leaves_replies_and_their_labels_away(tmp_path: Path) -> None:
    row = {"prompt": "p", "prompt_harm_label": "harmful", "adversarial": False, "subcategory": "cyberattack"}
    row |= {"response": "no", "response_harm_label": "unharmful", "response_refusal_label": "refusal"}
    file = written(tmp_path / "wild.jsonl", row)
    (reply,) = load_rows("wildguard_test", path=file).items
    (prompt,) = load_rows("wildguard_test", path=file, side="prompt").items
    assert (reply.exchange.reply, reply.unsafe) == ("no", False)
    assert (prompt.exchange.reply, prompt.unsafe) == (None, True)


@pytest.mark.parametrize(
    ("name", "path", "error", "message"),
    [
        ("twinz", None, UnknownNameError, "twins"),
        ("twins", "f.jsonl", UsageError, "without a path"),
        ("hh_helpful", None, UsageError, "preferences"),
    ],
)
def test_what_holds_no_labels_is_refused(
    name: str, path: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_rows(name, path=path)


def test_a_file_of_unlabelled_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no row with a label"):
        load_rows(written(tmp_path / "f.jsonl", {"prompt": "a", "unsafe": None}))


def test_a_sample_keeps_pairs_together_and_spreads_over_hazards() -> None:
    sample = load_rows("twins").limited(60, seed=3)
    assert len(sample.items) == 60
    assert {len(pair) for pair in _pairs(sample).values()} == {2}
    assert len({row.hazard for row in sample.items}) >= 25
    assert sample == load_rows("twins").limited(60, seed=3)
    assert sample != load_rows("twins").limited(60, seed=4)


def test_a_sample_has_both_labels_in_equal_number(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{i}", "unsafe": i < 20, "source": str(i % 3)} for i in range(200)]
    sample = load_rows(written(tmp_path / "f.jsonl", *rows)).limited(30)
    assert Counter(row.unsafe for row in sample.items) == {True: 15, False: 15}
    with pytest.raises(UsageError, match="At least 1"):
        sample.limited(0)


def test_several_sets_become_one_with_ids_that_differ(tmp_path: Path) -> None:
    one = load_rows(written(tmp_path / "a.jsonl", {"id": "x", "prompt": "a", "unsafe": 1}))
    two = load_rows(written(tmp_path / "b.jsonl", {"id": "x", "prompt": "b", "unsafe": 0}))
    both = joined([one, two])
    assert [row.id for row in both.items] == ["1:x", "2:x"]
    assert both.name == "a.jsonl + b.jsonl"
    assert joined([one]) is one


def _pairs(rows: Rows) -> dict[str | None, list[str]]:
    found: dict[str | None, list[str]] = {}
    for row in rows.items:
        found.setdefault(row.cluster, []).append(row.id)
    return found
