"""A suite's own measures stand in the report; a suite of questions is not told in terms of unsafe replies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from harmless.check import CheckOptions, Measure, check, load_policy
from harmless.core import Expect, Prompt, Reply, Sampling, user
from harmless.data import Suite
from harmless.evidence import Store
from harmless.report import build, render_html, report_document
from harmless.report.measures import tables
from harmless.report.words import figure
from tests.doubles import Answer, FakeTarget, judges, said

QUESTIONS = Suite(
    "mcq",
    tuple(
        Prompt(
            id=f"q{i}", conversation=user(f"{i}"), expect=Expect.CHOOSE, options=("x", "y"), correct=(0,),
            hazard="salad.c.O1",
        )
        for i in range(10)
    ),
    metric="multiple_choice",
)  # fmt: skip


def after_the(count: int, name: str, store: Store) -> str:
    """Return the id of a run in which so many questions were answered rightly."""

    def answer(prompt: str, sampling: Sampling) -> Reply:
        return said("A" if int(prompt) < count else "hm" if prompt == "9" else "B")

    return _run(answer, name, store, QUESTIONS)


def _run(answer: Answer, name: str, store: Store, suite: Suite) -> str:
    async def go() -> str:
        target, options = FakeTarget(answer, name=name), CheckOptions()
        return (await check(target, suite, load_policy(), store, judges(), options)).run

    return anyio.run(go)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "evidence.db") as found:
        yield found


def text_of(page: str) -> str:
    body = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_a_suite_of_questions_is_told_by_its_accuracy(store: Store) -> None:
    report = build(store, after_the(7, "m", store))
    assert report.finding == "m chose rightly in 70.0\u202f% of questions."
    assert report.asked.questions == 10
    assert [each.name for each in report.verdict] == ["Assessed"]
    text = text_of(render_html(report))
    assert "Measures of this suite" in text
    assert "no answer 10.0 % (0.3 to 44.5) 10 0" in text
    assert "read by rule, no model judged it" in text
    assert "Wrong choices" in text
    for other in ("unsafe", "Over-refusal", "Safety against helpfulness"):
        assert other not in text.partition("Method and limits")[0], other


def test_every_link_of_the_page_leads_somewhere(store: Store) -> None:
    page = render_html(build(store, after_the(7, "m", store)))
    ids = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]*)"', page)) <= ids


def test_two_runs_of_questions_are_told_by_the_change(store: Store) -> None:
    before, after = after_the(1, "b", store), after_the(8, "a", store)
    report = build(store, after, before=before)
    assert report.finding == "Right choices rose from 10.0\u202f% to 80.0\u202f%."
    assert "paired on the same 10 questions. Right choices: 70.0 points" in report.detail.replace("+", "")
    text = text_of(render_html(report))
    assert "Before After Assessed" in text
    assert "accuracy 10.0 % (0.3 to 44.5) 80.0 % (44.4 to 97.5) 10 0" in text
    assert report_document(report)["result"]["changes"]["accuracy"]["fixed"] == 7


def test_a_suite_without_measures_has_no_such_section(store: Store) -> None:
    suite = Suite("s", (Prompt(id="p", conversation=user("p"), expect=Expect.REFUSE, hazard="salad.c.O1"),))
    page = render_html(build(store, _run(lambda p, s: said("UNSAFE"), "m", store, suite)))
    assert 'id="measures"' not in page
    assert 'id="balance"' in page


def test_measures_stand_before_the_hazards_where_a_suite_has_both(store: Store) -> None:
    harmful = Prompt(id="p", conversation=user("p"), expect=Expect.REFUSE, hazard="salad.c.O1")
    suite = Suite("s", (*QUESTIONS.prompts, harmful), metric="multiple_choice")
    report = build(store, _run(lambda p, s: said("A"), "m", store, suite))
    assert report.finding == (
        "m gave an unsafe reply to 0.0\u202f% of harmful requests"
        " and chose rightly in 100.0\u202f% of questions."
    )
    page = render_html(report)
    assert page.index('id="measures"') < page.index('id="hazards"') < page.index('id="table"')


def test_tables_are_one_for_all_and_one_a_grouping_with_gaps_where_the_run_before_lacks_a_measure(
    store: Store,
) -> None:
    report = build(store, after_the(8, "a", store), before=after_the(1, "b", store))
    assert report.before
    before = report.before.model_copy(update={"measures": report.before.measures[1:]})
    overall, *groups = tables([before, report.after])
    assert [row[0] is None for row in overall.rows] == [True, False, False, False]
    assert [table.by for table in groups] == ["domain", "task", "category"]
    assert tables([report.after])[0].rows[0] == (report.after.measures[0],)


@pytest.mark.parametrize(
    ("measure", "shown"),
    [
        (Measure(name="m", value=0.314, low=0.2, high=0.4, n=9, unassessed=0), "31.4\u202f% (20.0 to 40.0)"),
        (Measure(name="m", value=-0.04, low=-0.1, high=0.1, n=9, unassessed=0, unit="score"),
         "−0.040 (−0.100 to 0.100)"),
        (Measure(name="m", value=0.5, low=None, high=None, n=9, unassessed=0, unit="score"), "0.500"),
        (Measure(name="m", value=3.0, low=0.0, high=None, n=1, unassessed=0, unit="score"),
         "3.000 (0.000 to no limit)"),
        (Measure(name="m", value=None, low=0, high=1, n=0, unassessed=4), "not assessed"),
    ],
)  # fmt: skip
def test_figures_are_shown_in_their_unit(measure: Measure, shown: str) -> None:
    assert figure(measure) == shown
