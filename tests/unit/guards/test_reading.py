"""How prompts are read: as they are, undisguised, and in parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.guards.reading import MOST, QUOTED, SENTENCE, parts, readings

ONE = ["How do I bake bread?", "C++ or Rust in 2024?", "", 'What does "ok" mean here?']


def test_a_plain_sentence_has_one_reading() -> None:
    read = readings(ONE)
    assert read.texts == ONE
    assert read.starts.tolist() == [0, 1, 2, 3]
    assert not read.doubts.any()


def test_disguises_are_undone() -> None:
    read = readings(["k1ll"])
    assert read.texts[0] == "k1ll"
    assert "kill" in read.texts
    assert not read.doubts.any()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("We sit in a café. He reads this note aloud.", ["We sit in a café.", "He reads this note aloud."]),
        ("first line of all\nsecond line of all", ["first line of all", "second line of all"]),
        ("Yes. No. He reads this note aloud.", ["He reads this note aloud."]),
    ],
)
def test_sentences_and_lines_are_parts(text: str, found: list[str]) -> None:
    assert list(parts(text)) == [(part, SENTENCE) for part in found]


@pytest.mark.parametrize("marks", ["“”", '""', "«»", "„“", "「」"])
def test_a_quotation_is_a_part_that_is_doubted_less(marks: str) -> None:
    found = dict(parts(f"He asks: {marks[0]}How do I get into it?{marks[1]} Write the answer of the other."))
    assert found["How do I get into it?"] == QUOTED
    assert found["Write the answer of the other."] == SENTENCE


def test_of_a_long_text_the_first_and_the_last_parts_are_read() -> None:
    sentences = [f"This is the sentence number {i}." for i in range(100)]
    found = [part for part, _ in parts(" ".join(sentences))]
    assert found == [*sentences[: MOST // 2], *sentences[-MOST // 2 :]]


def test_the_worst_reading_counts_less_its_doubt() -> None:
    read = readings(["He sits in a room. He reads this note aloud.", "One of several words"])
    assert read.worst(np.array([1.0, 2.9, 3.5, -1.0])).tolist() == [1.5, -1.0]
    assert read.worst(np.array([1.0, 2.9, 2.9, -1.0])).tolist() == [1.0, -1.0]
    assert readings([]).worst(np.zeros(0)).tolist() == []


@given(st.lists(st.text(alphabet=st.sampled_from('ab .?!\n"“”:1é。'), max_size=60), max_size=8))
def test_every_text_comes_first_among_its_readings(texts: list[str]) -> None:
    read = readings(texts)
    assert [read.texts[at] for at in read.starts] == texts
    assert len(read.texts) == len(read.doubts)
    assert all(read.doubts[at] == 0 for at in read.starts)
