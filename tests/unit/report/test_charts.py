from __future__ import annotations

import itertools
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless import taxonomy
from harmless.check import Rate, load_policy
from harmless.report import Report
from harmless.report.charts.balance import BOTTOM, LEFT, RIGHT, TOP, Mark, balance, between
from harmless.report.charts.bars import bar
from harmless.report.charts.ramp import STEPS, grade_class, legend, rate_class, step
from harmless.report.charts.scale import Scale, apart, share_end
from harmless.report.charts.slope import direction, slope
from harmless.report.charts.sunburst import CENTRE, RINGS, SIZE, sunburst
from harmless.taxonomy import Level

shares = st.floats(0, 1)


def rate(share: float | None, *, n: int = 10, unassessed: int = 0) -> Rate:
    low, high = (0.0, 1.0) if share is None else (max(share - 0.1, 0), min(share + 0.1, 1))
    return Rate(rate=share, low=low, high=high, n=n if share is not None else 0, unassessed=unassessed)


# scale


@given(st.floats(0, 0.4), st.floats(0.5, 1), shares)
def test_a_scale_keeps_order_and_stays_inside(low: float, high: float, value: float) -> None:
    scale = Scale(low, high, 300, 20)
    assert 20 <= scale(value) <= 300
    assert scale(low) == 300
    assert scale(high) == 20
    assert scale(min(value, 0.5)) >= scale(max(value, 0.5))


@pytest.mark.parametrize("end", [0.05, 0.1, 0.2, 0.3, 0.5, 0.6, 0.8, 1.0])
def test_ticks_are_few_round_and_in_range(end: float) -> None:
    ticks = Scale(0, end, 0, 100).ticks()
    assert ticks[0] == 0
    assert ticks[-1] <= end
    assert 3 <= len(ticks) <= 7
    assert len({round(b - a, 9) for a, b in itertools.pairwise(ticks)}) == 1


@given(st.lists(shares, max_size=5))
def test_an_axis_of_shares_holds_all_values(values: list[float]) -> None:
    assert max(values, default=0) <= share_end(values) <= 1


@given(st.lists(st.floats(0, 400), max_size=20), st.floats(1, 30))
def test_labels_are_put_apart_in_order_and_inside(places: list[float], gap: float) -> None:
    found = apart(places, gap, 0, 400)
    least = min(gap, 400 / max(len(places) - 1, 1))
    ranked = sorted(range(len(places)), key=lambda i: (places[i], i))
    for a, b in itertools.pairwise(ranked):
        assert found[b] - found[a] >= least - 0.02
    assert all(-0.02 <= place <= 400.02 for place in found)


def test_labels_with_room_stay_where_they_are() -> None:
    assert apart([10, 100, 50], 18, 0, 200) == [10, 100, 50]


def test_crowded_labels_are_spread_around_their_centre() -> None:
    assert apart([100, 100, 100], 20, 0, 200) == [80, 100, 120]


# ramp


@given(shares, shares)
def test_a_higher_rate_has_no_lower_step(a: float, b: float) -> None:
    assert step(min(a, b)) <= step(max(a, b))


def test_only_a_rate_of_nothing_has_the_first_step() -> None:
    assert step(0.0) == 0
    assert step(1e-9) == 1
    assert step(1.0) == len(STEPS) - 1


def test_what_was_not_asked_and_what_was_not_assessed_differ_from_zero() -> None:
    assert rate_class(None) == rate_class(rate(None)) == "sn"
    assert rate_class(rate(None, unassessed=3)) == "sx"
    assert rate_class(rate(0.0)) == "s0"


def test_the_best_grade_has_the_first_step_and_the_worst_the_last() -> None:
    bands = load_policy().grades
    assert grade_class(bands[0].grade, bands) == "s0"
    assert grade_class(bands[-1].grade, bands) == "s6"
    assert grade_class(None, bands) == "sx"


def test_the_legend_names_every_step() -> None:
    assert [name for name, _ in legend()] == [f"s{i}" for i in range(len(STEPS))]


# sunburst


def test_every_ring_is_closed_and_has_no_gap() -> None:
    arcs = sunburst(taxonomy.load())
    for level, count in ((Level.DOMAIN, 6), (Level.TASK, 16), (Level.CATEGORY, 66)):
        ring = [arc for arc in arcs if arc.hazard.level is level]
        assert len(ring) == count
        assert math.isclose(sum(arc.span for arc in ring), 360)
        assert ring[0].start == 0
        for a, b in itertools.pairwise(ring):
            assert math.isclose(a.end, b.start)


def test_every_segment_lies_on_that_of_its_parent() -> None:
    arcs = {arc.hazard.key: arc for arc in sunburst(taxonomy.load())}
    for arc in arcs.values():
        if arc.hazard.parent:
            parent = arcs[arc.hazard.parent]
            assert parent.outer == arc.inner
            assert parent.start - 1e-6 <= arc.start < arc.end <= parent.end + 1e-6


def test_a_segment_is_as_wide_as_its_hazards_are_many() -> None:
    spine = taxonomy.load()
    for arc in sunburst(spine):
        assert math.isclose(arc.span, 360 * len(spine.leaves_under(arc.hazard.key)) / len(spine.leaves))


def test_outlines_start_and_end_on_their_ring() -> None:
    for arc in sunburst(taxonomy.load()):
        inner, outer = RINGS[arc.hazard.level]
        points = re.findall(r"(?:M|L|A\S+ \S+ 0 [01] [01] )([\d.]+) ([\d.]+)", arc.path)
        radii = [math.hypot(float(x) - CENTRE, float(y) - CENTRE) for x, y in points]
        assert radii == pytest.approx([outer, outer, inner, inner], abs=0.2)


def test_names_around_the_rings_stay_in_the_picture_and_are_never_upside_down() -> None:
    for arc in sunburst(taxonomy.load()):
        if arc.hazard.level is Level.CATEGORY:
            assert 0 < arc.x < SIZE
            assert 0 < arc.y < SIZE
            assert math.cos(math.radians(arc.turn)) > -1e-9
            assert len(arc.lines[0]) <= 26


# balance


def test_marks_lie_within_the_axes_and_their_intervals_around_them(two: Report) -> None:
    assert two.before
    chart = balance([two.before, two.after], two.record.policy.grades, 0.1)
    assert chart
    for mark in chart.marks:
        assert LEFT <= mark.x_low <= mark.x <= mark.x_high <= RIGHT
        assert TOP <= mark.y_high <= mark.y <= mark.y_low <= BOTTOM
    assert chart.marks[1].y > chart.marks[0].y, "fewer unsafe replies are further down"


def test_there_is_no_balance_without_both_rates(two: Report) -> None:
    blind = two.after.model_copy(update={"over_refusal": rate(None, unassessed=4)})
    assert balance([blind], two.record.policy.grades, 0.1) is None


def test_the_arrow_leads_from_one_dot_to_the_other_and_is_left_out_where_they_touch() -> None:
    def mark(x: float, y: float) -> Mark:
        return Mark(x, y, x, x, y, y)

    arrow = between(mark(0, 0), mark(100, 0))
    assert arrow == (11.0, 0.0, 89.0, 0.0)
    assert between(mark(0, 0), mark(5, 5)) is None


# slope and bars


def test_lines_fall_where_rates_fall_and_rows_without_a_rate_are_left_out() -> None:
    chart = slope([("a", rate(0.5), rate(0.1)), ("b", rate(0.2), rate(0.4)), ("c", rate(None), rate(0.1))])
    assert chart
    fell, rose = chart.lines
    assert (fell.name, fell.direction, rose.direction) == ("a", "fell", "rose")
    assert fell.y2 > fell.y1
    assert rose.y2 < rose.y1
    assert fell.range1[0] < fell.y1 < fell.range1[1]
    assert slope([("c", rate(None), rate(0.1))]) is None


def test_a_change_too_small_to_be_shown_is_no_change() -> None:
    assert direction(rate(0.10001), rate(0.1)) == "same"
    assert direction(rate(None), rate(0.1)) == "same"


@given(shares)
def test_a_bar_spans_its_interval(share: float) -> None:
    found = bar(rate(share), 100)
    assert found.rate is not None
    assert found.low - 0.01 <= found.rate <= found.low + found.width + 0.01
    assert 0 <= found.low <= 100


def test_a_bar_of_nothing_known_has_no_rate() -> None:
    assert bar(rate(None), 100).rate is None
