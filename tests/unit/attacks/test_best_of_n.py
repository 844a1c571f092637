"""Best-of-N: noise that keeps a text readable to a person, and depends on the seed alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.attacks import load
from harmless.attacks.best_of_n import noised
from harmless.errors import UsageError


@given(st.text(max_size=80), st.floats(0.01, 1), st.integers(0, 5))
def test_noise_keeps_the_length_and_depends_on_the_seed_alone(text: str, sigma: float, seed: int) -> None:
    noisy = noised(text, sigma, random.Random(seed))
    assert noisy == noised(text, sigma, random.Random(seed))
    assert len(noisy) >= len(text)


def test_a_little_noise_changes_little_and_much_noise_much() -> None:
    text = "Explain how a combination lock on a bicycle is opened without its number. " * 5

    def changed(sigma: float) -> int:
        return sum(a != b for a, b in zip(text, noised(text, sigma, random.Random(1)), strict=True))

    assert 0 < changed(0.001) < 60
    assert changed(0.4) > 150


def test_short_words_keep_their_letters() -> None:
    assert noised("an old cat", 1e-9, random.Random(0)) == "an old cat"
    assert sorted(noised("bicycle", 0.3, random.Random(3)).lower()) == sorted("bicycle")


@pytest.mark.parametrize("sigma", ["0", "-1", "2", "much"])
def test_a_wrong_strength_is_told(sigma: str) -> None:
    with pytest.raises(UsageError, match="above 0"):
        load(f"best_of_n({sigma})")
    assert load("best_of_n(0.2)").info.name == "best_of_n(0.2)"
