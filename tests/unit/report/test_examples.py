from __future__ import annotations

from collections import Counter
from pathlib import Path

import anyio
import pytest

from harmless.check import check, load_policy
from harmless.core import Expect, Prompt, user
from harmless.data import Suite
from harmless.evidence import Attempt, Store
from harmless.report import Report, build, render_html
from harmless.report.examples import LONGEST, MOST, MOST_OF_A_HAZARD, choose
from tests import doubles
from tests.doubles import FakeTarget
from tests.reports import AFTER, BEFORE, add_run, answered, failed, record, withheld


def pair_of_runs(
    path: Path, made: list[tuple[Prompt, Attempt, Attempt]], *, compared: bool = True
) -> list[tuple[str, str]]:
    """Return (kind, prompt id) of the examples of two runs with the given attempts."""
    with Store(path / "evidence.db") as store:
        plan = [prompt for prompt, _, _ in made]
        before, after = record(BEFORE, plan, target="m"), record(AFTER, plan, target="guarded")
        add_run(store, before, plan, [first for _, first, _ in made])
        add_run(store, after, plan, [second for _, _, second in made])
        found = choose(store, after, before if compared else None)
    return [(example.kind, example.prompt_id) for example in found]


def prompt(id: str, expect: Expect = Expect.REFUSE, hazard: str | None = "salad.c.O57") -> Prompt:
    return Prompt(id=id, conversation=user(f"About {id}."), expect=expect, hazard=hazard)


def test_each_kind_of_change_has_its_examples(tmp_path: Path) -> None:
    bad, good = {"unsafe": True, "refused": False}, {"unsafe": False, "refused": True}
    answer = {"unsafe": False, "refused": False}
    benign = Expect.ANSWER
    made = [
        (prompt("mended"), answered(0, **bad), withheld(0)),
        (prompt("bad"), answered(1, **bad), answered(1, **bad)),
        (prompt("worse"), answered(2, **good), answered(2, **bad)),
        (prompt("fine"), answered(3, **good), answered(3, **good)),
        (prompt("refused", benign), answered(4, **answer), withheld(4)),
        (prompt("answered", benign), answered(5, **answer), answered(5, **answer)),
        (prompt("silent", benign), answered(6, **answer), failed(6)),
    ]
    assert pair_of_runs(tmp_path, made) == [
        ("fixed", "mended"),
        ("unsafe", "bad"),
        ("broke", "worse"),
        ("refused", "refused"),
        ("unassessed", "silent"),
    ]


def test_one_run_alone_has_neither_fixed_nor_broken_ones(tmp_path: Path) -> None:
    bad = answered(0, unsafe=True, refused=False)
    assert pair_of_runs(tmp_path, [(prompt("bad"), bad, bad)], compared=False) == [("unsafe", "bad")]


def test_newly_refused_prompts_come_before_those_refused_all_along(tmp_path: Path) -> None:
    old = prompt("old", Expect.ANSWER), answered(0, unsafe=False, refused=True), withheld(0)
    new = prompt("new", Expect.ANSWER), answered(1, unsafe=False, refused=False), withheld(1)
    assert pair_of_runs(tmp_path, [old, new]) == [("refused", "new"), ("refused", "old")]


def test_the_surest_verdicts_of_a_hazard_are_kept_and_no_more_than_a_few(tmp_path: Path) -> None:
    made = []
    for i, score in enumerate((0.6, 0.9, 0.7, 0.95, 0.8)):
        bad = answered(i, unsafe=True, refused=False, score=score)
        made.append((prompt(f"p{i}"), bad, bad))
    found = pair_of_runs(tmp_path, made, compared=False)
    assert [name for _, name in found] == ["p3", "p1", "p4"]
    assert len(found) == MOST_OF_A_HAZARD


def test_domains_take_turns(tmp_path: Path) -> None:
    hazards = ["salad.c.O1", "salad.c.O2", "salad.c.O3", "salad.c.O57"]
    made = []
    for i, hazard in enumerate(hazards):
        bad = answered(i, unsafe=True, refused=False)
        made.append((prompt(hazard, hazard=hazard), bad, bad))
    found = pair_of_runs(tmp_path, made, compared=False)
    assert [name for _, name in found][:2] == ["salad.c.O1", "salad.c.O57"]


def test_examples_are_few_in_all(two: Report, one: Report) -> None:
    for report in (two, one):
        assert len(report.examples) <= MOST
        of_hazard = Counter((e.kind, e.hazard) for e in report.examples if e.kind != "unassessed")
        assert max(of_hazard.values()) <= MOST_OF_A_HAZARD


def test_harmful_requests_and_what_was_said_to_them_are_sealed(two: Report) -> None:
    harmful = [e for e in two.examples if e.expect is Expect.REFUSE]
    assert harmful
    for example in harmful:
        assert example.prompt_sealed
        for said in (example.before, example.after):
            assert said is None or said.sealed or said.status == "blocked"


def test_benign_prompts_are_open_unless_the_reply_is_unsafe(tmp_path: Path) -> None:
    attempt = answered(0, unsafe=True, refused=True)
    with Store(tmp_path / "evidence.db") as store:
        plan = [prompt("odd", Expect.ANSWER)]
        run = record(BEFORE, plan, target="m")
        add_run(store, run, plan, [attempt])
        (example,) = choose(store, run)
    assert not example.prompt_sealed
    assert example.after
    assert example.after.sealed


def test_long_replies_are_cut_with_a_note_of_how_much(tmp_path: Path) -> None:
    attempt = answered(0, unsafe=True, refused=False, text="x" * (LONGEST + 12))
    with Store(tmp_path / "evidence.db") as store:
        plan = [prompt("long")]
        run = record(BEFORE, plan, target="m")
        add_run(store, run, plan, [attempt])
        (example,) = choose(store, run)
    assert example.after
    assert (len(example.after.text), example.after.cut) == (LONGEST, 12)


@pytest.mark.parametrize("cause", ["error: http 503", "the judge timed out"])
def test_what_could_not_be_assessed_is_shown_with_its_cause(tmp_path: Path, cause: str) -> None:
    with Store(tmp_path / "evidence.db") as store:
        plan = [prompt("none")]
        run = record(BEFORE, plan, target="m")
        add_run(store, run, plan, [failed(0, cause)])
        (example,) = choose(store, run)
    assert (example.kind, example.cause) == ("unassessed", cause)


def test_wrong_choices_are_examples_with_the_option_that_was_chosen(tmp_path: Path) -> None:
    replies = {"wrong": "(A)", "right": "B", "unread": "Hm."}
    prompts = tuple(
        Prompt(id=id, conversation=user(id), expect=Expect.CHOOSE, options=("x", "y"), correct=(1,))
        for id in replies
    )
    target = FakeTarget(lambda text, _: doubles.said(replies[text]))
    with Store(tmp_path / "evidence.db") as store:
        suite = Suite("mine", prompts, "made", "multiple_choice")
        summary = anyio.run(check, target, suite, load_policy(), store, {})
        report = build(store, summary.run, generated_at="2026-03-04T12:00:00.000+00:00")
    causes = {example.prompt_id: (example.kind, example.cause) for example in report.examples}
    assert causes == {"wrong": ("wrong", "chose A, right is B"), "unread": ("wrong", "no answer")}
    page = render_html(report)
    assert "Wrong choices" in page
    assert "Choice: chose A, right is B" in page
