"""An index of texts that a further one may nearly repeat."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harmless.data.known import Known
from harmless.data.overlap import NEAR, grams, jaccard

TEXTS = st.lists(st.text("abcd ", min_size=1, max_size=40), max_size=12)


@given(start=TEXTS, later=TEXTS, asked=st.text("abcd ", min_size=1, max_size=40))
def test_it_finds_what_comparing_with_every_text_finds(start: list[str], later: list[str], asked: str) -> None:
    known = Known(start)
    for text in later:
        known.add(text)
    scores = [jaccard(grams(asked), grams(text)) for text in (*start, *later)]
    assert list(known.matches(asked)) == [(i, score) for i, score in enumerate(scores) if score >= NEAR]


def test_case_and_punctuation_do_not_count() -> None:
    assert list(Known(["Lend me a ladder!"]).matches("lend me: a LADDER")) == [(0, 1.0)]
