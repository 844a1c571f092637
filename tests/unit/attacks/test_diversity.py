"""Diversity of a set of texts, against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.attacks.diversity import dispersion, distinct, diversity, self_bleu, vendi

TEXTS = st.lists(
    st.text("ab c?", min_size=1, max_size=20).filter(lambda text: text.strip()), min_size=2, max_size=8
)


def test_equal_texts_have_a_self_bleu_of_1() -> None:
    assert self_bleu(["a b c d e"] * 3) == pytest.approx(1.0)


def test_self_bleu_of_two_texts_by_hand() -> None:
    # "the cat sat" against "the cat ran": 2 of 3 words, 1 of 2 pairs; no brevity penalty; the same both ways.
    assert self_bleu(["The cat sat", "the cat ran"], order=2) == pytest.approx(math.sqrt(2 / 3 * 1 / 2))


def test_counts_are_clipped_to_those_of_one_other_text() -> None:
    # Words found elsewhere: 2 of 3 of "a a a" (in "a a b"), all of "a a b" (two a, one b), 2 of 3 of "a b b".
    assert self_bleu(["a a a", "a a b", "a b b"], order=1) == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)


def test_a_shorter_text_is_punished_and_no_match_is_smoothed() -> None:
    # "a" against "a b": precision 1, brevity exp(1 - 2/1); "a b" against "a": precision 1/2, no penalty.
    assert self_bleu(["a", "a b"], order=1) == pytest.approx((math.exp(-1) + 0.5) / 2)
    assert self_bleu(["a", "b"], order=1) == pytest.approx(0.1)


def test_the_reference_of_the_nearest_length_sets_the_brevity_penalty() -> None:
    # "a b" has no match in "c d e" and "c d e f g": .1 of 2 words, penalty by the length 3.
    bleu = 0.1 / 2 * math.exp(1 - 3 / 2)
    # "c d e" is in the longest: 1; that one has 3 of its 5 words in "c d e".
    longest = 3 / 5
    middle = 1.0
    assert self_bleu(["a b", "c d e", "c d e f g"], order=1) == pytest.approx((bleu + middle + longest) / 3)


def test_distinct_n_is_the_share_of_different_n_grams() -> None:
    assert distinct(["a b a b", "a c"], 1) == pytest.approx(3 / 6)
    assert distinct(["a b a b", "a c"], 2) == pytest.approx(3 / 4)
    assert math.isnan(distinct(["a"], 2))


def test_dispersion_is_one_minus_the_mean_cosine() -> None:
    assert dispersion(np.eye(3)) == pytest.approx(1.0)
    assert dispersion(np.array([[1.0, 0.0], [1.0, 0.0]])) == pytest.approx(0.0)
    vectors = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    assert dispersion(vectors) == pytest.approx(1 - (0.6 + 0.0 + 0.8) / 3)


def test_vendi_counts_different_texts() -> None:
    assert vendi(np.eye(4)) == pytest.approx(4.0)
    assert vendi(np.tile([1.0, 0.0], (5, 1))) == pytest.approx(1.0)
    assert vendi(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])) == pytest.approx(2.0)


def test_fewer_than_two_texts_have_no_diversity() -> None:
    for texts in ([], ["alone"]):
        found = diversity(texts)
        assert found.n == len(texts)
        assert all(math.isnan(value) for value in (found.self_bleu, found.dispersion, found.vendi))


def test_only_a_sample_is_compared() -> None:
    texts = [f"question {i} " + "of many " * i for i in range(50)]
    assert diversity(texts, most=10) == diversity(texts, most=10)
    assert diversity(texts, most=10).n == 10
    assert diversity(texts, most=10, seed=1) != diversity(texts, most=10)


@given(TEXTS)
def test_measures_keep_to_their_ranges(texts: list[str]) -> None:
    found = diversity(texts)
    assert 0 <= found.self_bleu <= 1 + 1e-9
    assert 0 <= found.distinct_1 <= 1
    assert 1 - 1e-6 <= found.vendi <= len(texts) + 1e-6
    assert -1e-6 <= found.dispersion <= 2


@given(TEXTS)
def test_the_order_of_the_texts_does_not_matter(texts: list[str]) -> None:
    assert self_bleu(sorted(texts)) == pytest.approx(self_bleu(texts))
