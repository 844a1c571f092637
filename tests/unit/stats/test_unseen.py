"""Good and Turing's unseen mass and Chao's number of kinds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.stats import unseen, wilson


def test_by_hand() -> None:
    found = unseen([10, 6, 4, 3, 2, 2, 1, 1, 1])
    assert found.mass.rate == pytest.approx(3 / 30)
    assert found.standard_error == pytest.approx(math.sqrt(3 / 900 * 0.9 + 4 / 900))
    assert found.kinds == pytest.approx(9 + 3 * 2 / (2 * 3))
    assert found.mass.low == 0.0
    assert found.mass.high == pytest.approx(0.1 + 1.959964 * found.standard_error)


def test_everything_seen_often_leaves_little_unseen() -> None:
    found = unseen([5, 7, 9])
    assert (found.mass.rate, found.standard_error, found.kinds) == (0.0, 0.0, 3.0)
    assert found.mass.high == pytest.approx(wilson(0, 21).high)


def test_everything_seen_once_leaves_everything_open() -> None:
    assert unseen([1, 1, 1]).mass == wilson(3, 3)


def test_nothing_seen_says_nothing() -> None:
    found = unseen([])
    assert not found.mass.known
    assert math.isnan(found.kinds)


def test_counts_below_1_are_refused() -> None:
    with pytest.raises(ValueError, match="seen"):
        unseen([2, 0])


@given(st.lists(st.integers(1, 20), min_size=1))
def test_ranges_and_order(counts: list[int]) -> None:
    found = unseen(counts)
    assert 0 <= found.mass.low <= found.mass.rate <= found.mass.high <= 1
    assert found.kinds >= len(counts)
    assert unseen(sorted(counts)) == found


def test_the_mass_is_that_of_simulated_samples() -> None:
    rng = np.random.default_rng(0)
    chances = 1 / np.arange(1, 101)
    chances /= chances.sum()
    estimated, true, covered = [], [], 0
    for _ in range(400):
        counts = rng.multinomial(150, chances)
        found = unseen([int(count) for count in counts if count])
        missed = float(chances[counts == 0].sum())
        estimated.append(found.mass.rate)
        true.append(missed)
        covered += missed in found.mass
    assert np.mean(estimated) == pytest.approx(np.mean(true), abs=0.01)
    assert covered / 400 > 0.9
