"""Transforms write a prompt otherwise, the same way each time, and touch nothing but the last user message."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.core import Exchange, Message
from harmless.guards import normalise
from harmless.guards.bench.transforms import TRANSFORMS, transformed

TEXT = "Please explain how apple pie is made in three steps."


def test_there_are_ten() -> None:
    assert len(TRANSFORMS) == 10


@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_changes_the_text_and_the_seed_decides_how(name: str) -> None:
    exchange = Exchange.of(TEXT)
    once = transformed(exchange, name, seed=1)
    assert once == transformed(exchange, name, seed=1)
    assert once.prompt != TEXT


@given(st.text(max_size=60), st.sampled_from(sorted(TRANSFORMS)), st.integers(0, 9))
def test_no_text_breaks_them(text: str, name: str, seed: int) -> None:
    assert isinstance(TRANSFORMS[name](text, random.Random(seed)), str)


def test_only_the_last_user_message_changes() -> None:
    turns = [("system", "s"), ("user", "first message"), ("assistant", "a"), ("user", "second message")]
    exchange = Exchange(conversation=tuple(Message(role=r, content=c) for r, c in turns))  # type: ignore[arg-type]
    changed = transformed(exchange, "full_width")
    assert changed.conversation[:3] == exchange.conversation[:3]
    assert unicodedata.normalize("NFKC", changed.prompt) == "second message"


@pytest.mark.parametrize("name", ["case", "homoglyphs", "zero_width", "full_width"])
def test_what_only_looks_different_folds_to_the_same(name: str) -> None:
    assert normalise.plain(transformed(Exchange.of(TEXT), name).prompt).text == normalise.plain(TEXT).text


def test_words_stay_where_only_their_order_or_frame_changes() -> None:
    for name in ("reversed_words", "polite", "story"):
        changed = transformed(Exchange.of(TEXT), name).prompt
        assert all(word in changed for word in TEXT.split())


def test_typos_stay_inside_words() -> None:
    words = transformed(Exchange.of("wonderful mountains everywhere"), "typos").prompt.split()
    assert [(w[0], w[-1]) for w in words] == [("w", "l"), ("m", "s"), ("e", "e")]
