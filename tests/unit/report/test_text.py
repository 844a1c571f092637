from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.report.text import cut, sealed, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("user\u202eexe.txt", "user[U+202E]exe.txt"),
        ("\u2066x\u2069", "[U+2066]x[U+2069]"),
        ("a\u200bb\ufeff", "a[U+200B]b[U+FEFF]"),
        ("hi\U000e0041", "hi[U+E0041]"),
        ("bell\x07 and escape\x1b[31m", "bell[U+0007] and escape[U+001B][31m"),
        ("lone \udc80", "lone [U+DC80]"),
        ("a\u2028b\u2029c\r\nd\re", "a\nb\nc\nd\ne"),
    ],
)
def test_characters_that_hide_or_reorder_text_are_shown_as_such(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize("text", ["plain\ttext\n", "Größe", "नमस्ते", "שלום", "👩‍💻", "می‌خواهم", "日本語"])
def test_ordinary_text_of_any_language_is_left_as_it_is(text: str) -> None:
    assert visible(text) == text


@given(st.text())
def test_making_text_visible_twice_is_the_same_as_once(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@given(st.text())
def test_sealed_text_comes_back_whole_and_cannot_end_an_attribute(text: str) -> None:
    closed = sealed(text)
    assert base64.b64decode(closed).decode() == visible(text)
    assert not set(closed) & set("<>&\"'")


@given(st.text(), st.integers(0, 50))
def test_cutting_loses_no_character_uncounted(text: str, limit: int) -> None:
    kept, left = cut(text, limit)
    assert text.startswith(kept)
    assert len(kept) + left == len(text)
    assert len(kept) <= limit
