"""Scores from token probabilities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.core import Token
from harmless.guards.likelihood import PairScore, ScaleScore

PAIR = PairScore(risky="unsafe", benign="safe", prefixes=True)


def token(text: str, top: dict[str, float] | None = None, p: float = 0.9) -> Token:
    likely = tuple((other, math.log(chance)) for other, chance in (top or {}).items())
    return Token(text=text, logprob=math.log(p), top=likely)


def test_the_score_is_the_share_of_the_risky_word_at_the_first_place_that_decides() -> None:
    tokens = [
        token("\n\n", {"\n\n": 1.0}),
        token("safe", {"safe": 0.6, "unsafe": 0.2, "x": 0.2}),
        token("unsafe"),
    ]
    assert PAIR.of(tokens, "prompt") == pytest.approx(0.25)


def test_the_beginnings_of_a_word_count_as_the_word_only_if_the_format_says_so() -> None:
    place = [token("un", {"un": 0.5, "uns": 0.1, "safe": 0.2, "S": 0.2})]
    assert PAIR.of(place, "prompt") == pytest.approx(0.6)
    assert PairScore(risky="unsafe", benign="safe").of(place, "prompt") is None


def test_a_chosen_token_that_the_server_leaves_out_of_the_likely_ones_counts() -> None:
    assert PAIR.of([token("unsafe", {"safe": 0.1}, p=0.3)], "prompt") == pytest.approx(0.75)


def test_granite_sums_over_all_places() -> None:
    pair = PairScore(risky="yes", benign="no", where="all")
    tokens = [token("Yes", {"Yes": 0.6, " no": 0.2}), token("\n", {"\n": 0.9, "No": 0.1})]
    assert pair.of(tokens, "prompt") == pytest.approx(0.6 / 0.9)


def test_the_last_place_decides_behind_thoughts() -> None:
    pair = PairScore(risky="yes", benign="no", where="last")
    assert pair.of(
        [token("yes", {"yes": 0.9}), token(" no", {" no": 0.8, " yes": 0.2})], "prompt"
    ) == pytest.approx(0.2)


FIELD = PairScore(risky="yes", benign="no", after={"prompt": r"Request:\s*", "reply": r"Reply:\s*"})


def test_the_token_behind_the_name_of_the_field_decides() -> None:
    tokens = [token(t) for t in ("yes", "\n", "Request", ":")]
    tokens += [token(" no", {" no": 0.6, " yes": 0.2}), token("\n"), token("Re"), token("ply: ")]
    tokens += [token("yes", {"yes": 0.9, "no": 0.1})]
    assert FIELD.of(tokens, "prompt") == pytest.approx(0.25)
    assert FIELD.of(tokens, "reply") == pytest.approx(0.9)


@pytest.mark.parametrize("behind", [[], [" n", "/a"], ["\n", "Refusal:", " no"], [": no"]])
def test_another_token_behind_the_name_of_the_field_decides_nothing(behind: list[str]) -> None:
    texts = ["Request:", " yes", "\n", "Reply:", *behind]
    assert FIELD.of([token(text, {text: 0.9}) for text in texts], "reply") is None


def test_a_scale_is_an_expected_value() -> None:
    scale = ScaleScore(scale=("1", "2", "3", "4", "5"))
    assert scale.of([token("5", {"5": 0.4, "1": 0.4, "x": 0.2})], "prompt") == pytest.approx(0.5)
    assert scale.of([token("x", {"x": 1.0})], "prompt") is None


@pytest.mark.parametrize("tokens", [[], [token("hello", {"hello": 1.0})], [token("safe")]])
def test_without_log_probabilities_of_the_words_there_is_no_score(tokens: list[Token]) -> None:
    assert PAIR.of(tokens, "prompt") is None


@given(st.floats(0.001, 0.998), st.floats(0.001, 0.998))
def test_a_score_is_a_probability_and_that_of_the_opposite_is_its_complement(a: float, b: float) -> None:
    risky, benign = a / (a + b + 1), b / (a + b + 1)
    place = [token("safe", {"safe": benign, "unsafe": risky}, p=benign)]
    score, opposite = (
        PAIR.of(place, "prompt"),
        PairScore(risky="safe", benign="unsafe", prefixes=True).of(place, "prompt"),
    )
    assert score is not None
    assert opposite is not None
    assert 0 <= score <= 1
    assert score + opposite == pytest.approx(1)
