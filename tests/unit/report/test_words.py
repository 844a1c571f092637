from __future__ import annotations

import pytest

from harmless.check import Rate
from harmless.report.words import chance, events, of, percent, plural, points, points_span, span

THIN = "\u202f"


@pytest.mark.parametrize(
    ("share", "shown"), [(0.1214, f"12.1{THIN}%"), (0.0, f"0.0{THIN}%"), (1.0, f"100.0{THIN}%"), (None, "n/a")]
)
def test_a_share_is_shown_in_percent(share: float | None, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("difference", "shown"), [(-0.269, "−26.9"), (0.05, "+5.0"), (0.0, "0.0"), (-0.0001, "0.0"), (None, "n/a")]
)
def test_a_difference_has_a_sign_unless_it_is_nothing(difference: float | None, shown: str) -> None:
    assert points(difference) == shown


def test_limits_are_joined_by_to() -> None:
    assert span(0.075, 0.189) == "7.5 to 18.9"
    assert points_span(-0.338, -0.201) == "−33.8 to −20.1"
    assert span(None, 0.2) == "n/a"


@pytest.mark.parametrize(
    ("p", "shown"), [(0.0004, f"p{THIN}<{THIN}0.001"), (0.034, f"p{THIN}={THIN}0.034"), (None, "n/a")]
)
def test_small_p_values_are_bounded(p: float | None, shown: str) -> None:
    assert chance(p) == shown


def test_a_rate_gives_back_its_counts() -> None:
    rate = Rate(rate=41 / 1320, low=0.02, high=0.04, n=1320, unassessed=0)
    assert events(rate) == 41
    assert of(rate) == "41 of 1,320"
    assert events(Rate(rate=None, low=0, high=1, n=0, unassessed=4)) == 0


def test_one_thing_is_singular() -> None:
    assert plural(1, "hazard") == "1 hazard"
    assert plural(2000, "hazard") == "2,000 hazards"
    assert plural(2, "benign one", "benign ones") == "2 benign ones"
