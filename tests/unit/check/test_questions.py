"""Suites of questions with options: asked, scored and compared like the others, without a judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from harmless.check import (
    CheckOptions,
    Summary,
    breakdown,
    check,
    compare,
    grade,
    load_judges,
    load_policy,
)
from harmless.core import Conversation, Expect, Prompt, Reply, ReplyStatus, Sampling, user
from harmless.data import Suite
from harmless.errors import UnlikePlansError, UnreachableError, UsageError
from harmless.evidence import Store
from tests.doubles import Answer, FakeTarget, judges, said


def questions(count: int = 20, **fields: Any) -> list[Prompt]:
    return [
        Prompt(
            id=f"q{i}", conversation=user(f"question {i}"), expect=Expect.CHOOSE, options=("x", "y", "z"),
            correct=(1,), hazard=("salad.c.O1", "salad.c.O57")[i % 2], source=("one", "two")[i % 2], **fields,
        )
        for i in range(count)
    ]  # fmt: skip


def suite_of(prompts: Sequence[Prompt], metric: str = "multiple_choice") -> Suite:
    return Suite("mine", tuple(prompts), "made", metric)


QUESTIONS = suite_of(questions())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "evidence.db")


def run(store: Store, target: Any, suite: Suite = QUESTIONS, guards: Any = None, **options: Any) -> Summary:
    async def go() -> Summary:
        return await check(target, suite, load_policy(), store, guards or {}, CheckOptions(**options))

    return anyio.run(go)


def letter_of(number: str) -> str:
    """Return B, which is right, for three of four questions."""
    return "A" if int(number) % 4 == 3 else "B"


def answers(prompt: str, sampling: Sampling) -> Reply:
    return said(f"({letter_of(prompt.split()[-1])})")


def test_accuracy_needs_no_judge_and_the_machine_form_keeps_its_shape(store: Store) -> None:
    summary = run(store, FakeTarget(answers))
    assert summary.accuracy is not None
    assert (summary.accuracy.rate, summary.accuracy.n) == (0.75, 20)
    assert (summary.unsafe.n, summary.over_refusal.n, summary.grade, summary.hazards) == (0, 0, None, [])
    assert not summary.rated
    assert (summary.metric, summary.measures[0].name, summary.measures[0].value) == (
        "multiple_choice", "accuracy", 0.75,
    )  # fmt: skip
    by_hazard = {m.group: m.value for m in summary.measures if (m.by, m.name) == ("category", "accuracy")}
    assert by_hazard == {"salad.c.O1": 1.0, "salad.c.O57": 0.5}
    assert set(store.run(summary.run).guards) == {"choice"}


def test_no_answer_counts_as_not_right_and_malformed_apart_and_errors_as_neither(store: Store) -> None:
    def answer(prompt: str, sampling: Sampling) -> Reply:
        replies = {"1": said("dunno"), "2": said("A or C"), "3": Reply.error("http 500")}
        return replies.get(prompt.split()[-1]) or said("B")

    summary = run(store, FakeTarget(answer))
    assert summary.accuracy is not None
    assert (summary.accuracy.n, summary.accuracy.unassessed) == (19, 1)
    assert summary.accuracy.rate == pytest.approx(17 / 19)
    assert summary.causes == {"no answer": 1, "malformed answer": 1, "error: http 500": 1}


def test_a_suite_of_questions_loads_no_judge_and_any_other_does(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr("harmless.guards.load", lambda spec, policy: loaded.append(spec))
    assert load_judges("judge", load_policy(), QUESTIONS) == {}
    assert loaded == []
    mixed = suite_of([*questions(2), Prompt(id="p", conversation=user("p"), expect=Expect.REFUSE)])
    assert set(load_judges("judge", load_policy(), mixed)) == {"harm", "refusal"}
    assert loaded == ["judge", "refusal"]


def test_questions_and_other_prompts_stand_in_one_suite(store: Store) -> None:
    harmful = [Prompt(id=f"h{i}", conversation=user(f"harm {i}"), expect=Expect.REFUSE, hazard="salad.c.O1")
               for i in range(4)]  # fmt: skip

    def answer(prompt: str, sampling: Sampling) -> Reply:
        return said("UNSAFE" if prompt == "harm 0" else letter_of(prompt.split()[-1]))

    guards = judges()
    summary = run(store, FakeTarget(answer), suite_of([*questions(), *harmful]), guards)
    assert summary.accuracy is not None
    assert (summary.unsafe.rate, summary.unsafe.n, summary.accuracy.rate) == (0.25, 4, 0.75)
    assert guards["harm"].judged == guards["refusal"].judged == 4
    assert [(cell.id, cell.unsafe.n) for cell in summary.hazards] == [("salad.c.O1", 4)]


def test_a_free_question_with_references_is_judged_and_compared_with_them(store: Store) -> None:
    asked = Prompt(id="t", conversation=user("Is it safe?"), expect=Expect.ANSWER, correct=(0,),
                   options=("It is safe", "You will die"))  # fmt: skip
    summary = run(
        store, FakeTarget(lambda p, s: said("It is safe.")), suite_of([asked], "truthfulqa"), judges()
    )
    assert summary.over_refusal.n == 1
    assert summary.accuracy is None
    assert [(m.name, m.value) for m in summary.measures] == [
        ("truthful", 1.0), ("informative", 1.0), ("truthful and informative", 1.0),
    ]  # fmt: skip


class CutOffError(Exception):
    """Stands for whatever ends a process."""


def test_a_run_that_was_cut_off_goes_on_with_the_same_figures(store: Store, tmp_path: Path) -> None:
    asked: list[str] = []

    def breaks(after: int) -> Answer:
        def answer(prompt: str, sampling: Sampling) -> Reply:
            if len(asked) == after:
                raise CutOffError
            asked.append(prompt)
            return answers(prompt, sampling)

        return answer

    for after in (3, 11):
        with pytest.raises(CutOffError):
            run(store, FakeTarget(breaks(after), batch_size=1, concurrency=1))
    summary = run(store, FakeTarget(breaks(100), batch_size=1, concurrency=1))
    assert len(asked) == len(set(asked)) == 20
    whole = run(Store(tmp_path / "whole.db"), FakeTarget(answers))
    assert (summary.accuracy, summary.measures) == (whole.accuracy, whole.measures)


def test_a_reply_that_was_not_scored_before_the_cut_is_scored_when_the_run_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(rows: Any) -> None:
        raise CutOffError

    with monkeypatch.context() as patch:
        patch.setattr(store, "add_verdicts", dies)
        with pytest.raises(CutOffError):
            run(store, FakeTarget(answers, concurrency=1))
    target = FakeTarget(answers, concurrency=1)
    summary = run(store, target)
    assert len(target.asked) == 16
    assert summary.accuracy is not None
    assert summary.accuracy.n == 20


def test_stopping_early_asks_all_questions(store: Store) -> None:
    target = FakeTarget(answers, batch_size=1, concurrency=1)
    run(store, target, suite_of(questions(300)), stop_early=True)
    assert len(target.asked) == 300


def test_a_target_that_only_says_nothing_to_the_point_is_measured_and_not_an_error(store: Store) -> None:
    summary = run(store, FakeTarget(lambda p, s: said("hello")))
    assert summary.accuracy is not None
    assert summary.accuracy.rate == 0.0


def test_a_target_that_fails_on_everything_is_an_error(store: Store) -> None:
    with pytest.raises(UnreachableError, match="malformed: no choices"):
        run(store, FakeTarget(lambda p, s: Reply(status=ReplyStatus.MALFORMED, cause="no choices")))


def test_a_question_without_options_is_refused_before_anything_is_asked(store: Store) -> None:
    bare = Prompt(id="bare", conversation=user("Which?"), expect=Expect.CHOOSE)
    target = FakeTarget(answers)
    with pytest.raises(UsageError, match="'bare' has no options"):
        run(store, target, suite_of([bare]))
    assert target.asked == []


def test_a_run_is_broken_down_by_source_and_level(store: Store) -> None:
    summary = run(store, FakeTarget(answers))
    found = breakdown(store, store.run(summary.run), "source")
    assert [(p.key, p.asked, p.accuracy and p.accuracy.rate) for p in found.parts] == [
        ("one", 10, 1.0), ("two", 10, 0.5),
    ]  # fmt: skip
    assert (found.asked, found.unplaced) == (20, 0)
    by_domain = breakdown(store, store.run(summary.run), "domain")
    assert [part.name for part in by_domain.parts] == ["Representation & Toxicity", "Malicious Use"]
    assert breakdown(store, store.run(summary.run), "meta.none").unplaced == 20


class TestComparing:
    def test_right_before_and_wrong_after_are_paired(self, store: Store) -> None:
        before = run(store, FakeTarget(answers, name="b"))

        def later(prompt: str, sampling: Sampling) -> Reply:
            number = int(prompt.split()[-1])
            return said("C" if number in (0, 1) else "hm" if number == 2 else "B")

        after = run(store, FakeTarget(later, name="a"))
        found = compare(store, before.run, after.run)
        change = found.accuracy
        assert change is not None
        assert (change.fixed, change.broke, change.pairs) == (5, 3, 20)  # 3, 7, 11, 15, 19 and 0, 1, 2
        assert (change.before.rate, change.after.rate) == (0.75, 0.85)
        assert change.difference == pytest.approx(0.1)
        assert change.low is not None
        assert change.high is not None
        assert change.low < 0.1 < change.high
        assert change.p == pytest.approx(0.7265625)
        assert found.newly_right == ["q11", "q15", "q19", "q3", "q7"]
        assert found.newly_wrong == ["q0", "q1", "q2"]
        assert (found.unsafe.pairs, found.fixed, found.hazards) == (0, [], [])

    def test_runs_without_questions_have_no_such_change(self, store: Store) -> None:
        harmful = suite_of([Prompt(id="h", conversation=user("h"), expect=Expect.REFUSE)], "safety")
        runs = [run(store, FakeTarget(lambda p, s: said("fine"), name=n), harmful, judges()).run for n in "ab"]
        assert compare(store, *runs).accuracy is None


class ScoringTarget(FakeTarget):
    """Finds the option likeliest that comes last in the alphabet; counts what it scores."""

    def __init__(self) -> None:
        super().__init__(answers, batch_size=3)
        self.scored: list[tuple[Conversation, tuple[str, ...]]] = []

    async def log_probability(
        self, conversation: Conversation, continuations: Sequence[str]
    ) -> list[list[float]]:
        self.scored.append((conversation, tuple(continuations)))
        if "FAIL" in continuations:
            raise UnreachableError("The context is full.")
        return [[-100.0 + ord(text[0]), -0.5] for text in continuations]


class TestLikelihood:
    def mc1(self) -> Suite:
        return suite_of(questions(6, meta={"question": "the bare question"}), "truthfulqa_mc1")

    def test_options_are_scored_after_the_bare_question_where_the_target_can(self, store: Store) -> None:
        target = ScoringTarget()
        summary = run(store, target, self.mc1())
        assert target.asked == []
        assert target.scored == [(user("the bare question"), ("x", "y", "z"))] * 6
        assert [(m.name, m.value) for m in summary.measures] == [("MC1", 0.0)]
        reply = next(store.attempts(summary.run)).reply
        assert reply.text == '{"log_likelihood": [19.5, 20.5, 21.5], "tokens": [2, 2, 2]}'

    def test_letters_are_read_where_the_target_cannot(self, store: Store) -> None:
        target = FakeTarget(answers)
        summary = run(store, target, self.mc1())
        assert len(target.asked) == 6
        assert summary.measures[0].name == "accuracy"

    def test_both_ways_are_never_compared(self, store: Store) -> None:
        one = run(store, ScoringTarget(), self.mc1())
        other = run(store, ScoringTarget(), self.mc1(), likelihood=False)
        assert one.run != other.run
        with pytest.raises(UnlikePlansError):
            compare(store, one.run, other.run)

    def test_a_finished_run_scores_nothing_again(self, store: Store) -> None:
        first = run(store, ScoringTarget(), self.mc1())
        target = ScoringTarget()
        assert run(store, target, self.mc1()) == first
        assert target.scored == []

    def pairs(self) -> Suite:
        prompts = [
            Prompt(id=f"p{i}", conversation=(), expect=Expect.CHOOSE, options=options)
            for i, options in enumerate((("b one", "a one"), ("a two", "c two"), ("FAIL", "x")))
        ]
        return suite_of(prompts, "crows_pairs")

    def test_texts_without_a_question_are_compared_and_a_failure_has_its_cause(self, store: Store) -> None:
        summary = run(store, ScoringTarget(), self.pairs())
        assert summary.accuracy is None
        likelier = summary.measures[0]
        assert (likelier.value, likelier.n, likelier.unassessed) == (0.5, 2, 1)
        assert summary.causes == {"error: The context is full.": 1}

    def test_they_are_refused_where_the_target_gives_no_likelihood(self, store: Store) -> None:
        with pytest.raises(UsageError, match=r"fake does not give.*embedded"):
            run(store, FakeTarget(answers), self.pairs())


def test_the_figures_come_from_the_evidence_alone(store: Store, tmp_path: Path) -> None:
    summary = run(store, FakeTarget(answers))
    store.close()
    with Store(tmp_path / "evidence.db") as again:
        assert grade(again, again.run(summary.run)) == summary
