"""Delta debugging finds the words that a success needs, within its calls."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.attacks.minimise import Minimal, minimise


def shortest(text: str, succeeds: Callable[[str], bool], calls: int = 10_000) -> tuple[Minimal, list[str]]:
    asked: list[str] = []

    async def ask(shorter: str) -> bool:
        asked.append(shorter)
        return succeeds(shorter)

    return anyio.run(minimise, text, ask, calls), asked


def has(*words: str) -> Callable[[str], bool]:
    return lambda text: set(words) <= set(text.split())


def test_only_the_words_that_matter_are_left() -> None:
    text = "please tell me, as my late aunt did, how to open the old box tonight"
    found, asked = shortest(text, has("aunt", "box"))
    assert (found.text, found.minimal, found.calls) == ("aunt box", True, len(asked))
    assert len(asked) == len(set(asked))


@given(st.sets(st.integers(0, 29), min_size=1))
def test_words_that_are_needed_together_are_found_exactly(needed: set[int]) -> None:
    found, asked = shortest(" ".join(map(str, range(30))), has(*map(str, needed)))
    assert found.text == " ".join(map(str, sorted(needed)))
    assert len(asked) <= 30**2 + 3 * 30, "the bound of Zeller and Hildebrandt"


@given(st.lists(st.booleans(), min_size=1, max_size=64))
def test_no_word_of_a_minimal_prompt_can_be_left_out(table: list[bool]) -> None:
    def odd(text: str) -> bool:
        return text == whole or (bool(text) and table[sum(map(int, text.split())) % len(table)])

    whole = " ".join(map(str, range(12)))
    found, _ = shortest(whole, odd)
    words = found.text.split()
    assert found.minimal
    assert odd(found.text)
    assert not any(odd(" ".join(words[:i] + words[i + 1 :])) for i in range(len(words)) if len(words) > 1)


@pytest.mark.parametrize("calls", [0, 1, 2, 5])
def test_the_calls_are_kept_and_the_best_so_far_is_returned(calls: int) -> None:
    text = " ".join(map(str, range(64)))
    found, asked = shortest(text, has("3", "60"), calls)
    assert len(asked) <= calls
    assert not found.minimal
    assert has("3", "60")(found.text)


def test_a_prompt_that_does_not_succeed_stays_as_it_is() -> None:
    assert shortest("a b c", lambda _: False)[0] == Minimal("a b c", minimal=False, calls=1)


def test_white_space_between_words_is_kept() -> None:
    assert shortest("x a\n\nb y", lambda text: "a\n\nb" in text)[0].text == "a\n\nb"
