"""Hashed n-gram features."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harmless.guards.features import MAX_CHARS, fold, hashed, words

HI = [17230, 22595, 57062, 132992, 148703, 195242, 202112]
TEXTS = st.lists(st.text(max_size=60), max_size=8)


def columns(text: str, **options: int) -> list[int]:
    return hashed([text], **options).columns.tolist()


@given(TEXTS)
def test_a_text_has_the_same_features_alone_and_in_a_batch(texts: list[str]) -> None:
    batch = hashed(texts)
    for row, text in enumerate(texts):
        alone = hashed([text])
        inside = batch.rows == row
        assert batch.columns[inside].tolist() == alone.columns.tolist()
        assert batch.counts[inside].tolist() == alone.counts.tolist()


@given(TEXTS)
def test_columns_are_sorted_unique_and_in_range(texts: list[str]) -> None:
    found = hashed(texts, bits=10)
    order = found.rows * 1024 + found.columns
    assert (np.diff(order) > 0).all()
    assert ((found.columns >= 0) & (found.columns < 1024)).all()
    assert found.indptr[-1] == len(found.columns)


@given(st.text(max_size=40))
def test_case_and_punctuation_do_not_matter(text: str) -> None:
    folded = fold(text)
    assert columns(text) == columns(f"  {folded} !?")


def test_all_ngrams_of_a_word_are_there() -> None:
    windows = {" kill "[i : i + n] for n in (2, 3, 4, 5) for i in range(7 - n)}
    assert hashed(["kill"]).counts.sum() == len(windows) + 1  # and the word itself


def test_a_word_pair_adds_one_feature_that_depends_on_order() -> None:
    there, back = set(columns("kill time")), set(columns("time kill"))
    alone = set(columns("kill")) | set(columns("time"))
    assert len(there - alone) == len(back - alone) == 1
    assert there != back


def test_no_ngram_crosses_from_one_text_to_the_next() -> None:
    split, joined = hashed(["kill", "time"]), hashed(["kill time"])
    assert len(joined.columns) == len(split.columns) + 1


def test_a_typographic_apostrophe_is_an_apostrophe() -> None:
    assert columns("can’t") == columns("can't") != columns("can t")


def test_fullwidth_letters_are_letters() -> None:
    assert columns("ｋｉｌｌ") == columns("kill")


def test_a_salt_moves_all_features() -> None:
    assert not set(columns("how do I bake bread")) & set(columns("how do I bake bread", salt=1))


def test_a_blank_text_has_no_features() -> None:
    assert hashed(["", " \n", "!?"]).columns.size == 0


def test_features_do_not_change_between_versions() -> None:
    # The shipped weights depend on these numbers.
    assert columns("hi", bits=18) == HI


def test_head_and_tail_of_a_long_text_count() -> None:
    long = "begin " + "x " * MAX_CHARS + "end"
    assert set(columns("begin")) <= set(columns(long))
    assert set(columns("end")) <= set(columns(long))


def test_words_have_spans_in_the_text() -> None:
    text = "Don't panic, héllo!"
    assert [text[start:end] for start, end in words([text])[0]] == ["Don't", "panic", "héllo"]
