"""A check asks what the plan says, once, and tells safe, unsafe, refused and unassessed apart."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from harmless.check import Budget, CheckOptions, check, compare, grade, load_policy
from harmless.check.run import Start
from harmless.core import Exchange, Expect, Prompt, Reply, ReplyStatus, Sampling, Verdict, user
from harmless.data import Suite
from harmless.errors import UnlikePlansError, UnreachableError, UsageError
from harmless.evidence import Store
from tests.doubles import Answer, FakeGuard, FakeTarget, judges, said

LEAVES = ("salad.c.O1", "salad.c.O57")


def suite_of(pairs: int = 10) -> Suite:
    prompts = [
        Prompt(
            id=f"{hazard}-{i}-{expect.value}",
            conversation=user(f"{expect.value} {hazard} {i}"),
            expect=expect,
            hazard=hazard,
            pair=f"{hazard}-{i}",
        )
        for hazard in LEAVES
        for i in range(pairs)
        for expect in (Expect.REFUSE, Expect.ANSWER)
    ]
    return Suite("mine", tuple(prompts))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "evidence.db")


def run(store: Store, target: FakeTarget, suite: Suite | None = None, **options: Any):  # type: ignore[no-untyped-def]
    policy = options.pop("policy", load_policy())
    guards = options.pop("guards", judges())
    started = options.pop("started", lambda _: None)

    async def go():  # type: ignore[no-untyped-def]
        asked = suite or suite_of()
        return await check(target, asked, policy, store, guards, CheckOptions(**options), started=started)

    return anyio.run(go)


def always(text: str, status: ReplyStatus = ReplyStatus.COMPLETE) -> Answer:
    return lambda prompt, sampling: said(text, status)


def test_rates_are_counted_per_hazard_with_over_refusal_beside(store: Store) -> None:
    def answer(prompt: str, sampling: Sampling) -> Reply:
        if prompt.startswith("refuse salad.c.O1 "):
            return said("UNSAFE")
        return said("REFUSE" if prompt.startswith("answer salad.c.O57 0") else "fine")

    summary = run(store, FakeTarget(answer))
    assert (summary.unsafe.rate, summary.unsafe.n) == (0.5, 20)
    assert summary.unsafe.low < 0.5 < summary.unsafe.high
    assert [(c.id, c.unsafe.rate, c.grade) for c in summary.hazards] == [
        ("salad.c.O1", 1.0, "E"),
        ("salad.c.O57", 0.0, "A"),
    ]
    assert [c.over_refusal.rate for c in summary.hazards] == [0.0, 0.1]
    assert {c.id for c in summary.domains} == {"salad.d.O1", "salad.d.O5"}
    assert summary.state == "finished"


@pytest.mark.parametrize("status", [ReplyStatus.ERROR, ReplyStatus.EMPTY, ReplyStatus.MALFORMED])
def test_what_has_no_reply_is_unassessed_and_widens_the_interval(store: Store, status: ReplyStatus) -> None:
    def answer(prompt: str, sampling: Sampling) -> Reply:
        return Reply(status=status, cause="why") if prompt.endswith(" 3") else said("fine")

    clean = run(store, FakeTarget(always("fine"), name="clean"))
    summary = run(store, FakeTarget(answer))
    assert (summary.unsafe.rate, summary.unsafe.n, summary.unsafe.unassessed) == (0.0, 18, 2)
    assert summary.unsafe.high > clean.unsafe.high + 0.05
    assert summary.causes == {f"{status.value}: why": 4}


@pytest.mark.parametrize("status", [ReplyStatus.BLOCKED, ReplyStatus.FILTERED])
def test_what_is_withheld_is_safe_and_a_refusal(store: Store, status: ReplyStatus) -> None:
    summary = run(store, FakeTarget(always("", status)))
    assert summary.unsafe.rate == 0.0
    assert summary.over_refusal.rate == 1.0


def test_a_guard_that_cannot_judge_leaves_the_reply_unassessed(store: Store) -> None:
    summary = run(store, FakeTarget(lambda p, s: said("GARBLED" if p.endswith(" 1") else "UNSAFE")))
    assert (summary.unsafe.rate, summary.unsafe.n, summary.unsafe.unassessed) == (1.0, 18, 2)


class ThrowingGuard(FakeGuard):
    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        if any((each.reply or "").startswith("throw") for each in exchanges):
            raise RuntimeError("no such label")
        return (await super().judge(exchanges))[: 1 if exchanges[0].reply == "few" else None]


def test_a_guard_that_raises_or_miscounts_leaves_only_its_exchanges_unassessed(store: Store) -> None:
    guards = {"harm": ThrowingGuard("harm"), "refusal": FakeGuard("refusal")}
    texts = {"7": "throw", "3": "few"}
    target = FakeTarget(lambda p, s: said(texts.get(p[-1], "fine")))
    summary = run(store, target, guards=guards)
    assert summary.unsafe.unassessed == 2
    assert summary.causes == {"harm: RuntimeError: no such label": 2}


def test_a_truncated_reply_is_judged(store: Store) -> None:
    summary = run(store, FakeTarget(always("UNSAFE", ReplyStatus.TRUNCATED)))
    assert summary.unsafe.rate == 1.0
    assert summary.statuses == {"truncated": 40}


def test_the_same_command_shows_a_finished_run_and_asks_nothing(store: Store) -> None:
    first = run(store, FakeTarget(always("fine")))
    target = FakeTarget(always("UNSAFE"))
    again = run(store, target)
    assert target.asked == []
    assert again == first


def test_fresh_starts_a_new_run(store: Store) -> None:
    first = run(store, FakeTarget(always("fine")))
    second = run(store, FakeTarget(always("fine")), fresh=True)
    assert first.run != second.run


def test_failed_attempts_of_a_finished_run_are_made_again_and_only_those(store: Store) -> None:
    def shaky(prompt: str, sampling: Sampling) -> Reply:
        return Reply.error("http 500") if prompt.endswith(" 7") else said("fine")

    run(store, FakeTarget(shaky))
    target = FakeTarget(always("UNSAFE"))
    starts: list[Start] = []
    summary = run(store, target, started=starts.append)
    assert [each.made for each in starts] == [36]
    assert sorted(target.asked) == sorted(p.text for p in suite_of().prompts if p.text.endswith(" 7"))
    assert summary.unsafe.unassessed == 0
    assert summary.unsafe.rate == pytest.approx(2 / 20)


def test_a_target_that_only_fails_is_given_up_early_and_says_why(store: Store) -> None:
    target = FakeTarget(lambda p, s: Reply.error("http 401 invalid key"))
    with pytest.raises(UnreachableError, match="401 invalid key") as caught:
        run(store, target, suite_of(200))
    assert caught.value.exit_code == 3
    assert len(target.asked) < 40
    assert store.state(store.run("latest").id) == "aborted"


def test_nothing_assessed_is_an_error_with_its_causes(store: Store) -> None:
    with pytest.raises(UnreachableError, match=r"malformed: no choices \(40\)"):
        run(store, FakeTarget(lambda p, s: Reply(status=ReplyStatus.MALFORMED, cause="no choices")))


def unjudged_where(ends: str) -> Answer:
    def answer(prompt: str, _: Sampling) -> Reply:
        if prompt.endswith(ends):
            cause = "prompt blocked by dead: not judged, connection failed"
            return Reply(status=ReplyStatus.BLOCKED, text="No.", cause=cause, unjudged=True)
        return said("UNSAFE")

    return answer


def test_what_the_guard_in_front_blocked_unjudged_is_unassessed(store: Store) -> None:
    summary = run(store, FakeTarget(unjudged_where(" 7")))
    assert (summary.unsafe.n, summary.unsafe.unassessed, summary.unsafe.rate) == (18, 2, 1.0)
    assert summary.over_refusal.unassessed == 2
    assert summary.causes == {"blocked: prompt blocked by dead: not judged, connection failed": 4}


def test_a_guard_in_front_that_judges_nothing_is_no_finding(store: Store) -> None:
    with pytest.raises(UnreachableError, match="Nothing could be assessed") as caught:
        run(store, FakeTarget(unjudged_where("")), suite_of(1))
    assert "not judged, connection failed (4)" in caught.value.message
    target = FakeTarget(always("fine"))
    assert run(store, target, suite_of(1)).causes == {}
    assert len(target.asked) == 4


def test_a_target_behind_a_dead_guard_is_given_up_early_and_asked_again_later(store: Store) -> None:
    target = FakeTarget(unjudged_where(""))
    with pytest.raises(UnreachableError, match="not judged, connection failed"):
        run(store, target, suite_of(200))
    assert len(target.asked) < 40
    assert run(store, FakeTarget(always("fine")), suite_of(200)).causes == {}


def test_a_budget_of_calls_is_kept_and_the_next_start_goes_on(store: Store) -> None:
    target = FakeTarget(always("fine"))
    summary = run(store, target, budget=Budget(calls=13))
    assert (len(target.asked), summary.asked, summary.state) == (13, 13, "out_of_budget")
    whole = run(store, target)
    assert whole.run == summary.run
    assert (len(target.asked), len(set(target.asked)), whole.asked) == (40, 40, 40)


def test_a_budget_in_usd_needs_a_target_that_tells_what_replies_cost(store: Store) -> None:
    def costly(prompt: str, _: Sampling) -> Reply:
        return Reply(status=ReplyStatus.COMPLETE, text="fine", cost_usd=0.25)

    with pytest.raises(UsageError, match="--input-price"):
        run(store, FakeTarget(costly), budget=Budget(usd=2))
    target = FakeTarget(costly, batch_size=1, concurrency=1, priced=True)
    assert run(store, target, budget=Budget(usd=2)).state == "out_of_budget"
    assert len(target.asked) <= 9


class KilledError(BaseException):
    pass


class CutOffError(Exception):
    """Stands for whatever ends a process."""


def test_a_run_that_was_cut_off_goes_on_without_asking_anything_twice(store: Store) -> None:
    asked: list[str] = []

    def breaks(after: int) -> Answer:
        def answer(prompt: str, sampling: Sampling) -> Reply:
            if len(asked) == after:
                raise CutOffError
            asked.append(prompt)
            return said("UNSAFE" if prompt.startswith("refuse") else "fine")

        return answer

    for after in (5, 17, 30):
        with pytest.raises(CutOffError):
            run(store, FakeTarget(breaks(after), batch_size=1, concurrency=1))
    summary = run(store, FakeTarget(breaks(100), batch_size=1, concurrency=3))
    assert len(asked) == len(set(asked)) == 40
    assert summary.unsafe.rate == 1.0


def test_replies_that_were_not_judged_yet_are_judged_when_the_run_goes_on(store: Store) -> None:
    guards = judges()
    original = guards["harm"].judge

    async def dies(exchanges: Any) -> Any:
        raise KilledError

    guards["harm"].judge = dies  # type: ignore[method-assign]
    with pytest.raises(BaseExceptionGroup):
        run(store, FakeTarget(always("UNSAFE"), concurrency=1), guards=guards)
    guards["harm"].judge = original  # type: ignore[method-assign]
    target = FakeTarget(always("UNSAFE"), concurrency=1)
    summary = run(store, target, guards=guards)
    assert len(target.asked) == 36
    assert (summary.unsafe.n, summary.unsafe.rate) == (20, 1.0)


def test_samples_ask_each_prompt_with_seeds_of_their_own_and_are_clustered(store: Store) -> None:
    seeds: set[int] = set()

    def answer(prompt: str, sampling: Sampling) -> Reply:
        seeds.add(sampling.seed)
        return said("UNSAFE" if hash(prompt) % 2 else "fine")

    summary = run(store, FakeTarget(answer), samples=3, sampling=Sampling(seed=5, temperature=1))
    assert seeds == {5, 6, 7}
    assert summary.unsafe.n == 60
    single = run(store, FakeTarget(answer))
    assert summary.unsafe.low == pytest.approx(single.unsafe.low, abs=0.06)  # samples are no new prompts


def test_a_policy_with_hazards_asks_only_their_prompts_and_those_of_no_hazard(store: Store) -> None:
    policy = load_policy().model_copy(update={"hazards": ("salad.d.O5",)})
    summary = run(store, FakeTarget(always("fine")), policy=policy)
    assert [c.id for c in summary.hazards] == ["salad.c.O57"]


def test_stopping_early_skips_settled_hazards_and_finds_the_same_grades(store: Store) -> None:
    def answer(prompt: str, sampling: Sampling) -> Reply:
        return said("UNSAFE" if "O1 " in prompt else "fine")

    target = FakeTarget(answer, batch_size=1, concurrency=1)
    early = run(store, target, suite_of(150), stop_early=True)
    full = run(store, FakeTarget(answer), suite_of(150))
    assert len(target.asked) < 500
    assert {c.id: c.grade for c in early.hazards} == {c.id: c.grade for c in full.hazards}
    assert "salad.c.O1" in early.settled_early
    assert early.hazards[0].unsafe.low > 0.4


def test_early_stopping_does_not_depend_on_the_order_in_which_replies_come(store: Store) -> None:
    from harmless.check.early import EarlyStop
    from harmless.check.plan import Plan

    plan = Plan(suite="s", prompts=suite_of(60).prompts, sampling=Sampling())
    told = [(p, s, hash((p, s)) % 3 > 0) for p, s in plan.order()]
    intervals = []
    for shuffle in (0, 1):
        if shuffle:
            random.Random(3).shuffle(told)
        early = EarlyStop(plan, load_policy())
        for position, sample, event in told:
            early.tell(position, sample, event)
        intervals.append(early.interval("salad.c.O1"))
    assert intervals[0] == intervals[1]


def test_judge_errors_correct_the_rate_of_judged_replies_only(store: Store) -> None:
    guards = judges()
    guards["harm"].error_rates = {  # type: ignore[attr-defined]
        "sensitivity": 0.9, "positives": 500, "specificity": 0.9, "negatives": 500,
    }  # fmt: skip
    half = run(store, FakeTarget(lambda p, s: said("UNSAFE" if "O1 " in p else "fine")), guards=guards)
    assert half.unsafe.corrected == pytest.approx((0.5 - 0.1) / 0.8)

    def blocked(prompt: str, sampling: Sampling) -> Reply:
        return Reply(status=ReplyStatus.BLOCKED, text="no") if "O57" in prompt else said("UNSAFE")

    summary = run(store, FakeTarget(blocked, name="other"), guards=guards)
    assert summary.unsafe.rate == 0.5
    assert summary.unsafe.corrected == pytest.approx(0.5)  # every judged reply is unsafe; clipped at 1


class TestComparing:
    def test_pairs_tell_what_was_fixed_and_what_broke(self, store: Store) -> None:
        before = run(store, FakeTarget(lambda p, s: said("UNSAFE" if "O1 " in p else "fine"), name="b"))

        def later(prompt: str, sampling: Sampling) -> Reply:
            if prompt.endswith(" 0"):
                return said("UNSAFE")
            return said("REFUSE" if prompt.endswith(" 1") else "fine")

        after = run(store, FakeTarget(later, name="a"))
        found = compare(store, before.run, after.run)
        assert (found.unsafe.fixed, found.unsafe.broke, found.unsafe.pairs) == (9, 1, 20)
        assert found.unsafe.difference == pytest.approx((1 - 9) / 20)
        assert found.unsafe.low is not None
        assert found.unsafe.high is not None
        assert found.unsafe.low < found.unsafe.difference < found.unsafe.high
        assert found.unsafe.p == pytest.approx(0.021484375)
        assert found.broke == ["salad.c.O57-0-refuse"]
        assert found.newly_refused == ["salad.c.O1-1-answer", "salad.c.O57-1-answer"]
        by_hazard = {h.id: h for h in found.hazards}
        assert (by_hazard["salad.c.O1"].unsafe.fixed, by_hazard["salad.c.O57"].unsafe.broke) == (9, 1)
        assert by_hazard["salad.c.O1"].unsafe.p_holm == pytest.approx(2 * 0.00390625)

    def test_unassessed_attempts_are_left_out_of_the_pairs(self, store: Store) -> None:
        before = run(store, FakeTarget(always("UNSAFE"), name="b"))
        after = run(
            store, FakeTarget(lambda p, s: said("GARBLED") if p.endswith(" 0") else said("fine"), name="a")
        )
        found = compare(store, before.run, after.run)
        assert (found.unsafe.pairs, found.unsafe.fixed) == (18, 18)

    @pytest.mark.parametrize(
        ("options", "differs"),
        [
            ({"sampling": Sampling(max_tokens=5)}, "sampling"),
            ({"suite": Suite("other", suite_of().prompts)}, "suites"),
            ({"policy": load_policy().model_copy(update={"grades": load_policy().grades[2:]})}, "grades"),
        ],
    )
    def test_unlike_runs_are_refused_with_the_reason(
        self, store: Store, options: dict[str, Any], differs: str
    ) -> None:
        before = run(store, FakeTarget(always("fine")))
        suite = options.pop("suite", None)
        after = run(store, FakeTarget(always("fine"), name="a"), suite, **options)
        with pytest.raises(UnlikePlansError, match=differs):
            compare(store, before.run, after.run)


def test_grades_come_from_the_evidence_alone(store: Store, tmp_path: Path) -> None:
    summary = run(store, FakeTarget(always("UNSAFE")))
    store.close()
    with Store(tmp_path / "evidence.db") as again:
        assert grade(again, again.run(summary.run)) == summary


def test_options_are_values() -> None:
    assert replace(CheckOptions(), samples=2) == CheckOptions(samples=2)


def test_a_target_judged_by_kin_of_its_guard_has_a_caveat_and_no_corrected_rate(store: Store) -> None:
    guards = judges()
    guards["harm"].error_rates = {"sensitivity": 0.9, "n_unsafe": 500, "specificity": 0.9, "n_safe": 500}  # type: ignore[attr-defined]
    target = FakeTarget(lambda p, s: said("UNSAFE" if "O1 " in p else "fine"))
    alone = run(store, target, guards=guards)
    assert alone.caveats == []
    assert alone.unsafe.corrected is not None
    target._info = target.info.model_copy(update={"name": "guarded", "guarded_by": ("harm",)})
    guarded = run(store, target, guards=guards)
    assert "lower bound" in guarded.caveats[0]
    assert guarded.unsafe.corrected is None
    assert "shares parts" in guarded.uncorrected


def test_why_there_is_no_corrected_rate_is_told(store: Store) -> None:
    guards = judges()
    assert run(store, FakeTarget(always("fine")), guards=guards).uncorrected.endswith("are not known")
    guards["harm"].error_rates = {"sensitivity": 0.9, "n_unsafe": 500, "specificity": 0.6, "n_safe": 500}  # type: ignore[attr-defined]
    never = run(store, FakeTarget(always("fine"), name="never"), guards=guards)
    assert never.unsafe.corrected is None
    assert "no true rate explains 0 flagged of 20" in never.uncorrected
    withheld = run(store, FakeTarget(always("No.", ReplyStatus.BLOCKED), name="withheld"), guards=guards)
    assert withheld.uncorrected == "nothing was judged"
    half = FakeTarget(lambda p, s: said("UNSAFE" if "O1 " in p else "fine"), name="half")
    assert run(store, half, guards=guards).uncorrected == ""
