"""Guards made of guards: their truth tables, what they sum up, and that one bad item costs only itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmless.core import Exchange, Guard, GuardRule, Outcome, Verdict
from harmless.core.policy import GradeBand, Policy
from harmless.errors import UsageError
from harmless.guards import load, registry
from harmless.guards.cached import Cached
from harmless.guards.cascade import Cascade
from harmless.guards.fallback import Fallback
from harmless.guards.parts import Part
from harmless.guards.quorum import Quorum
from harmless.guards.registry import GuardEntry
from harmless.guards.weighted import Weighted
from tests.unit.guards.combining import Told, asked, parts

POLICY = Policy(grades=(GradeBand(grade="A", max_rate=1),))
SAFE, UNSAFE, UNASSESSED = Outcome.SAFE, Outcome.UNSAFE, Outcome.UNASSESSED
WORD = {SAFE: "0.2", UNSAFE: "0.9", UNASSESSED: "?"}


def any_of(*guards: Guard) -> Quorum:
    return Quorum("any", parts(*guards), lambda n: 1)


def all_of(*guards: Guard) -> Quorum:
    return Quorum("all", parts(*guards), lambda n: n)


def vote(*guards: Guard) -> Quorum:
    return Quorum("vote", parts(*guards), lambda n: (n + 1) // 2)


def mean(*guards: Guard) -> Weighted:
    return Weighted(parts(*guards), [1.0] * len(guards))


def fallback(*guards: Guard) -> Fallback:
    return Fallback(parts(*guards))


def cascade(cheap: Guard, expensive: Guard, low: float = 0.3, high: float = 0.7) -> Cascade:
    return Cascade(Part(cheap), Part(expensive), low, high)


def judge(guard: Guard, *prompts: str) -> list[Verdict]:
    return anyio.run(guard.judge, asked(*prompts))


def outcomes(guard: Guard, *prompts: str) -> list[Outcome]:
    return [verdict.outcome for verdict in judge(guard, *prompts)]


TWO: dict[str, Callable[..., Guard]] = {
    "any": any_of,
    "all": all_of,
    "weighted": mean,
    "fallback": fallback,
    "cascade": cascade,
}
combined = pytest.mark.parametrize("make", TWO.values(), ids=TWO.keys())

# Truth tables: two parts, safe, unsafe or unassessed


def table(make: Callable[..., Guard]) -> dict[tuple[Outcome, Outcome], Outcome]:
    pairs = list(product(Outcome, Outcome))
    found = outcomes(make(Told(0), Told(1)), *(f"{WORD[a]} {WORD[b]}" for a, b in pairs))
    return dict(zip(pairs, found, strict=True))


def test_any_is_unsafe_if_one_is_and_safe_only_if_all_are() -> None:
    for pair, outcome in table(any_of).items():
        expected = UNSAFE if UNSAFE in pair else UNASSESSED if UNASSESSED in pair else SAFE
        assert outcome is expected, pair


def test_all_is_safe_if_one_is_and_unsafe_only_if_all_are() -> None:
    for pair, outcome in table(all_of).items():
        expected = SAFE if SAFE in pair else UNASSESSED if UNASSESSED in pair else UNSAFE
        assert outcome is expected, pair


def test_fallback_takes_the_first_that_can_judge() -> None:
    for (first, second), outcome in table(fallback).items():
        assert outcome is (second if first is UNASSESSED else first)


def test_cascade_takes_the_cheap_one_outside_the_band_and_the_expensive_one_for_what_it_left() -> None:
    for (cheap, expensive), outcome in table(cascade).items():
        assert outcome is (expensive if cheap is UNASSESSED else cheap)


def test_a_weighted_mean_is_unassessed_only_if_what_is_missing_could_turn_it() -> None:
    heavy = Weighted(parts(Told(0), Told(1)), [0.8, 0.2])
    assert outcomes(heavy, "0.9 ?", "0.2 ?", "? 0.9", "? 0.2", "? ?", "0.6 0.0", "0.7 0.0") == [
        UNSAFE,
        SAFE,
        UNASSESSED,
        UNASSESSED,
        UNASSESSED,
        SAFE,
        UNSAFE,
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("0.9 0.9 0.1", UNSAFE),
        ("0.9 0.1 0.1", SAFE),
        ("0.9 0.9 ?", UNSAFE),
        ("0.9 0.1 ?", UNASSESSED),
        ("0.1 0.1 ?", SAFE),
        ("? ? 0.9", UNASSESSED),
        ("? ? ?", UNASSESSED),
    ],
)
def test_a_vote_follows_the_majority_as_soon_as_it_is_settled(words: str, expected: Outcome) -> None:
    assert outcomes(vote(Told(0), Told(1), Told(2)), words) == [expected]


def test_an_even_vote_is_unsafe() -> None:
    assert outcomes(vote(Told(0), Told(1)), "0.9 0.1") == [UNSAFE]


# Scores


def test_scores_meet_at_their_thresholds() -> None:
    # 0.1 is far over a threshold of 0.02 and says more than 0.6 at a threshold of 0.9.
    verdict = judge(any_of(Told(0, threshold=0.02), Told(1, threshold=0.9)), "0.1 0.6")[0]
    assert verdict.outcome is UNSAFE
    assert verdict.score == pytest.approx(0.5 + 0.5 * 0.08 / 0.98)


class Contrary(Told):
    """Says the opposite of its score, as hosted guards do that have flags of their own."""

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        opposite = {SAFE: UNSAFE, UNSAFE: SAFE, UNASSESSED: UNASSESSED}
        verdicts = await super().judge(exchanges)
        return [verdict.model_copy(update={"outcome": opposite[verdict.outcome]}) for verdict in verdicts]


def test_where_a_part_contradicts_its_score_its_outcome_counts() -> None:
    verdicts = judge(any_of(Contrary(0), Contrary(1)), "0.1 0.9", "0.9 0.8")
    assert [(verdict.outcome, verdict.score) for verdict in verdicts] == [
        (UNSAFE, 0.5),
        (SAFE, pytest.approx(0.5)),
    ]
    assert verdicts[1].score is not None
    assert verdicts[1].score < 0.5


@pytest.mark.parametrize(("threshold", "word", "score"), [(0.0, "0", 0.5), (1.0, "1", 1.0), (1.0, "0.5", 0.25)])
def test_thresholds_at_the_ends_are_no_trouble(threshold: float, word: str, score: float) -> None:
    guard = any_of(Told(0, threshold=threshold), Told(1))
    assert judge(guard, f"{word} 0")[0].score == score


def test_a_policy_moves_the_threshold_of_a_part_and_the_revision() -> None:
    strict = Quorum("any", [Part(Told(0), 0.1), Part(Told(1))], lambda n: 1)
    assert outcomes(strict, "0.15 0.0", "0.05 0.0") == [UNSAFE, SAFE]
    assert strict.info.revision != any_of(Told(0), Told(1)).info.revision


words = st.one_of(st.just("?"), st.integers(0, 20).map(lambda k: f"{k / 20}"))
rows = st.lists(st.tuples(words, words).map(" ".join), max_size=6)


@settings(deadline=None)
@given(rows=rows, name=st.sampled_from(sorted(TWO)))
def test_order_and_length_are_kept_and_the_score_agrees_with_the_outcome(rows: list[str], name: str) -> None:
    guard = TWO[name](Told(0), Told(1))
    verdicts = judge(guard, *rows)
    assert verdicts == [judge(guard, row)[0] for row in rows]
    for verdict in verdicts:
        assert (verdict.score is None) == (verdict.outcome is UNASSESSED)
        if verdict.score is not None:
            assert (verdict.score >= guard.info.threshold) == (verdict.outcome is UNSAFE)


@settings(deadline=None)
@given(a=words, b=words, name=st.sampled_from(["any", "all", "weighted"]))
def test_any_all_and_equal_weights_do_not_depend_on_the_order_of_their_parts(a: str, b: str, name: str) -> None:
    one, other = (
        judge(TWO[name](Told(0), Told(1)), f"{a} {b}")[0],
        judge(TWO[name](Told(1), Told(0)), f"{a} {b}")[0],
    )
    assert (one.outcome, one.score, one.labels) == (other.outcome, other.score, other.labels)
    assert set(one.findings) == set(other.findings)


numbers = st.integers(0, 20).map(lambda k: k / 20)


@settings(deadline=None)
@given(a=numbers, b=numbers, more=numbers, name=st.sampled_from(["any", "all", "weighted"]))
def test_a_higher_score_of_a_part_never_lowers_that_of_the_whole(
    a: float, b: float, more: float, name: str
) -> None:
    guard = TWO[name](Told(0, threshold=0.3), Told(1, threshold=0.6))
    before, after = judge(guard, f"{a} {b}", f"{max(a, more)} {b}")
    assert after.score is not None
    assert before.score is not None
    assert after.score >= before.score


@settings(deadline=None)
@given(row=st.tuples(words, words).map(" ".join))
def test_any_is_never_below_all(row: str) -> None:
    highest, lowest = judge(any_of(Told(0), Told(1)), row)[0], judge(all_of(Told(0), Told(1)), row)[0]
    if highest.score is not None and lowest.score is not None:
        assert highest.score >= lowest.score


# Cascade


@settings(deadline=None)
@given(rows=rows)
def test_a_band_of_everything_is_the_expensive_guard(rows: list[str]) -> None:
    found, alone = judge(cascade(Told(0), Told(1), 0, 1), *rows), judge(Told(1), *rows)
    assert [(v.outcome, v.score) for v in found] == [(v.outcome, v.score) for v in alone]


@settings(deadline=None)
@given(rows=rows, edge=numbers)
def test_an_empty_band_is_the_cheap_guard_wherever_it_can_judge(rows: list[str], edge: float) -> None:
    rows = [row for row in rows if not row.startswith("?")]
    expensive = Told(1)
    found, alone = judge(cascade(Told(0), expensive, edge, edge), *rows), judge(Told(0), *rows)
    assert [(v.outcome, v.score) for v in found] == [(v.outcome, v.score) for v in alone]
    assert expensive.batches == []


def test_the_expensive_guard_sees_only_the_band_and_all_of_it_at_once() -> None:
    expensive = Told(1)
    judge(cascade(Told(0), expensive), "0.29 1", "0.3 1", "0.5 0", "0.7 1", "0.71 1", "? 1")
    assert expensive.batches == [["0.3 1", "0.5 0", "0.7 1", "? 1"]]


def test_what_the_expensive_guard_cannot_judge_stays_unassessed() -> None:
    assert outcomes(cascade(Told(0), Told(1)), "0.5 ?") == [UNASSESSED]


@pytest.mark.parametrize("band", [("0.8", "0.2"), ("-1", "0.5"), ("0.5", "2"), ("nan", "1"), ("low", "high")])
def test_a_band_that_is_none_is_a_usage_error(band: tuple[str, str], told: None) -> None:
    with pytest.raises(UsageError, match=r"cascade\(CHEAP, EXPENSIVE"):
        load(f"cascade(g0, g1, {band[0]}, {band[1]})")


# What is summed up


def test_findings_are_merged_labels_averaged_latency_and_cost_summed() -> None:
    verdict = judge(any_of(Told(0, cost=0.25), Told(1), Told(2, cost=0.5)), "0.2 0.4 0.9")[0]
    assert [finding.rule for finding in verdict.findings] == ["r0", "common", "r1", "r2"]
    assert verdict.labels == {"refusal": pytest.approx(0.5)}
    assert verdict.latency_s == 1.5
    assert verdict.cost_usd == 0.75
    assert verdict.reason == "g0 safe; g1 safe; g2 unsafe"


def test_an_unknown_cost_is_not_nothing() -> None:
    assert judge(any_of(Told(0), Told(1)), "0.2 0.4")[0].cost_usd is None


def test_what_a_combination_is_follows_from_its_parts() -> None:
    info = any_of(Told(0, sees="prompt"), all_of(Told(1, sees="reply"), Told(2))).info
    assert info.name == "any(g0, all(g1, g2))"
    assert info.sees == "both"
    assert info.hazards == ("salad.d.O1", "salad.d.O2", "salad.d.O3")
    assert info.leaves_machine
    assert info.batch_size == 8
    assert not any_of(Told(0), Told(2)).info.leaves_machine


def test_the_revision_changes_with_parts_order_kind_and_settings() -> None:
    a, b, other = Told(0), Told(1), Told(1, threshold=0.6)
    guards = [any_of(a, b), any_of(b, a), any_of(a, other), all_of(a, b), cascade(a, b), cascade(a, b, 0.2)]
    assert len({guard.info.revision for guard in guards}) == len(guards)
    assert any_of(a, b).info == any_of(Told(0), Told(1)).info


def test_a_part_is_asked_only_what_it_sees() -> None:
    prompts, replies = Told(0, sees="prompt"), Told(0, sees="reply")
    both = [Exchange.of("0.9"), Exchange.of("0.2", "reply")]
    for make in (any_of, all_of, mean, fallback, cascade):
        found = anyio.run(make(prompts, replies).judge, both)
        assert [verdict.outcome for verdict in found] == [UNSAFE, SAFE]
    assert {prompt for batch in prompts.batches for prompt in batch} == {"0.9"}
    assert {prompt for batch in replies.batches for prompt in batch} == {"0.2"}


@combined
def test_an_exchange_that_no_part_sees_is_unassessed(make: Callable[..., Guard]) -> None:
    guard = make(Told(0, sees="reply"), Told(1, sees="reply"))
    verdict = judge(guard, "0.9 0.9")[0]
    assert verdict.outcome is UNASSESSED
    assert "no part judges this side" in verdict.reason


# Faults


@combined
@pytest.mark.parametrize("poison", ["!", "0.9s"])
def test_a_poisoned_item_costs_only_itself(make: Callable[..., Guard], poison: str) -> None:
    rows = ["0.9 0.9", f"{poison} {poison}", "0.1 0.1"]
    verdicts = judge(make(Told(0), Told(1)), *rows)
    assert [verdict.outcome for verdict in verdicts] == [UNSAFE, UNASSESSED, SAFE]
    assert ("poisoned" if poison == "!" else "0 verdicts on 1 exchanges") in verdicts[1].reason


def test_a_guard_that_breaks_does_not_silence_the_others() -> None:
    assert outcomes(any_of(Told(0), Told(1)), "! 0.9", "! 0.1") == [UNSAFE, UNASSESSED]


class Waiting:
    """A guard that answers only when the other one has been asked too."""

    def __init__(self, mine: anyio.Event, others: anyio.Event) -> None:
        self._mine, self._others, self.info = mine, others, Told(0).info

    async def judge(self, exchanges: list[Exchange]) -> list[Verdict]:
        self._mine.set()
        with anyio.fail_after(5):
            await self._others.wait()
        return [Verdict(outcome=SAFE, score=0.0) for _ in exchanges]


def test_parts_judge_at_the_same_time() -> None:
    async def run() -> list[Verdict]:
        a, b = anyio.Event(), anyio.Event()
        return await any_of(Waiting(a, b), Waiting(b, a)).judge(asked("x"))

    assert anyio.run(run)[0].outcome is SAFE


# Cache


def test_equal_exchanges_are_judged_once() -> None:
    inner = Told(0, cost=0.5)
    guard = Cached(Part(inner))
    first = judge(guard, "0.9", "0.1", "0.9")
    second = judge(guard, "0.1", "0.3")
    assert inner.batches == [["0.9", "0.1"], ["0.3"]]
    assert [v.cost_usd for v in (*first, *second)] == [0.5, 0.5, 0.0, 0.0, 0.5]
    assert [v.score for v in (*first, *second)] == [0.9, 0.1, 0.9, 0.1, 0.3]


def test_a_reply_and_its_context_are_part_of_what_is_remembered() -> None:
    inner = Told(0)
    guard = Cached(Part(inner))
    anyio.run(guard.judge, [Exchange.of("0.9"), Exchange.of("0.9", "a"), Exchange.of("0.9", "b")])
    assert inner.batches == [["0.9", "0.9", "0.9"]]


def test_what_was_left_unassessed_is_asked_again() -> None:
    inner = Told(0)
    guard = Cached(Part(inner))
    assert outcomes(guard, "?") + outcomes(guard, "?") == [UNASSESSED, UNASSESSED]
    assert len([batch for batch in inner.batches if batch]) == 2


def test_the_cache_is_bounded_and_forgets_what_was_unused_for_longest() -> None:
    inner = Told(0)
    guard = Cached(Part(inner), size=2)
    for prompt in ("0.1", "0.2", "0.1", "0.3", "0.1", "0.2"):
        judge(guard, prompt)
    assert [batch for batch in inner.batches if batch] == [["0.1"], ["0.2"], ["0.3"], ["0.2"]]


def test_a_batch_may_be_larger_than_the_cache() -> None:
    guard = Cached(Part(Told(0)), size=1)
    assert [v.score for v in judge(guard, "0.1", "0.2", "0.3", "0.1")] == [0.1, 0.2, 0.3, 0.1]


class Slow(Told):
    """Lets others go first."""

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        await anyio.sleep(0.001 * len(exchanges))
        return await super().judge(exchanges)


def test_what_one_caller_needs_another_cannot_make_forgotten() -> None:
    guard, found = Cached(Part(Slow(0)), size=1), list[list[Verdict]]()

    async def ask(*prompts: str) -> None:
        found.append(await guard.judge(asked(*prompts)))

    async def run() -> None:
        await ask("0.1")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "0.1", "0.2", "0.3")
            tasks.start_soon(ask, "0.4")

    anyio.run(run)
    # Which of the two is done first is the clock's affair.
    assert sorted([each.score for each in verdicts] for verdicts in found) == [[0.1], [0.1, 0.2, 0.3], [0.4]]


@settings(deadline=None)
@given(rows=st.lists(st.lists(words, max_size=5), max_size=5), size=st.integers(1, 4))
def test_a_cache_changes_no_verdict(rows: list[list[str]], size: int) -> None:
    guard = Cached(Part(Told(0)), size=size)
    for batch in rows:
        seen = [(v.outcome, v.score) for v in judge(guard, *batch)]
        assert seen == [(v.outcome, v.score) for v in judge(Told(0), *batch)]


# Specs


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make g0, g1 and g2 names of guards."""
    known = dict(registry._entries())
    for place in range(3):
        known[f"g{place}"] = GuardEntry(name=f"g{place}", make=f"{__name__}:g{place}")
    monkeypatch.setattr(registry, "_entries", lambda: known)


def g0() -> Guard:
    return Told(0)


def g1() -> Guard:
    return Told(1)


def g2() -> Guard:
    return Told(2)


@pytest.mark.parametrize(
    ("spec", "prompt", "outcome"),
    [
        ("any(g0, g1)", "0.1 0.9", UNSAFE),
        ("all(g0, g1)", "0.1 0.9", SAFE),
        ("vote(g0, g1, g2)", "0.1 0.9 0.8", UNSAFE),
        ("vote(g0, g1, g2)", "0.1 0.9 0.2", SAFE),
        ("vote(g0, g1)", "0.9 0.1", UNSAFE),
        ("any(g0, g1)", "0.1 ?", UNASSESSED),
        ("all(g0, g1)", "0.9 ?", UNASSESSED),
        ("weighted(0.7*g0, 0.3*g1)", "0.1 0.9", SAFE),
        ("cascade(g0, g1, 0.2, 0.8)", "0.3 0.9", UNSAFE),
        ("fallback(g0, g1)", "? 0.9", UNSAFE),
        ("cached(any(g0, g1), 10)", "0.1 0.9", UNSAFE),
        ("prompts(g0)", "0.9", UNSAFE),
        ("replies(g0)", "0.9", UNASSESSED),
        ("vote(g0, replies(g1), prompts(g2))", "0.1 0.9 0.9", UNSAFE),
        ("any(cascade(g0, fallback(g1, g2), 0.2, 0.8), all(g0, g2))", "0.3 ? 0.9", UNSAFE),
    ],
)
def test_a_spec_makes_a_combination_of_guards_or_of_combinations(
    told: None, spec: str, prompt: str, outcome: Outcome
) -> None:
    guard = load(spec)
    assert isinstance(guard, Guard)
    assert outcomes(guard, prompt) == [outcome]


def test_the_name_of_a_combination_is_its_spec(told: None) -> None:
    for spec in (
        "any(g0, vote(g1, g2))",
        "weighted(0.7*g0, 0.3*g1)",
        "cascade(g0, g1, 0.2, 0.8)",
        "cached(g0)",
        "prompts(any(g0, replies(g1)))",
    ):
        assert load(spec).info.name == spec


def test_the_policy_reaches_the_parts_of_parts(told: None) -> None:
    policy = POLICY.model_copy(update={"guards": {"g0": GuardRule(threshold=0.1)}})
    for spec in ("any(fallback(g0, g1), g1)", "cached(g0)", "prompts(g0)"):
        assert outcomes(load(spec), "0.2 0") == [SAFE]
        assert outcomes(load(spec, policy), "0.2 0") == [UNSAFE]


def test_one_side_of_a_guard_leaves_the_other_unassessed(told: None) -> None:
    prompt = Exchange.of("0.9")
    reply = Exchange.of("0.9", "0.9")
    for spec, outcomes_of in (("prompts(g0)", [UNSAFE, UNASSESSED]), ("replies(g0)", [UNASSESSED, UNSAFE])):
        guard = load(spec)
        assert [each.outcome for each in anyio.run(guard.judge, [prompt, reply])] == outcomes_of
        assert guard.info.sees == spec[: spec.index("(")].replace("ies", "y").rstrip("s")


@pytest.mark.parametrize(
    "spec",
    [
        "any()",
        "any(g0)",
        "weighted(g0, g1)",
        "weighted(0*g0, 1*g1)",
        "weighted(-1*g0, 1*g1)",
        "cached(g0, x)",
        "replies(prompts(g0))",
    ],
)
def test_a_combination_that_means_nothing_is_a_usage_error(told: None, spec: str) -> None:
    with pytest.raises(UsageError):
        load(spec)


@pytest.mark.parametrize(
    ("spec", "families"),
    [
        ("embedded", ("built-in n-grams",)),
        ("any(rules, embedded)", ("rules", "built-in n-grams")),
        ("cached(any(embedded, rules))", ("built-in n-grams", "rules")),
        ("cascade(rules, judge, 0.2, 0.8)", ("rules", "built-in n-grams")),
    ],
)
def test_a_combination_is_of_the_families_of_its_parts(spec: str, families: tuple[str, ...]) -> None:
    assert load(spec).info.families == families
