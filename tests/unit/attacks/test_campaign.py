"""A campaign asks every attack for every objective, within its budget, and goes on where it stopped."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from harmless.attacks import CampaignOptions, Results, attack, from_texts, load, results, successes
from harmless.attacks.contract import AttackInfo, Session
from harmless.check import Budget, load_policy
from harmless.core import Guard, Reply, ReplyStatus, Sampling, Target, user
from harmless.errors import UnreachableError, UsageError
from harmless.evidence import Store, ask_key
from tests.doubles import FakeTarget, judges, said

OBJECTIVES = [f"steal the plan {i}" for i in range(6)]


class Counting:
    """Says "try N" until it is over; ``most`` is how often it would."""

    def __init__(self, most: int = 1000, name: str = "counting", calls: int = 5) -> None:
        self.info = AttackInfo(name=name, family="test", calls=calls)
        self._most = most
        self.replies: list[str] = []

    async def run(self, session: Session) -> None:
        for number in range(1, self._most + 1):
            tried = await session.ask([user(f"try {number} of {session.objective.text}")])
            self.replies.append(tried[0].reply.text)


def yields_at(number: int) -> FakeTarget:
    """A target that gives in at one try."""
    return FakeTarget(lambda prompt, _: said("UNSAFE" if prompt.startswith(f"try {number} ") else "REFUSE"))


def campaign(
    store: Store,
    target: Target,
    attacks: list[Counting] | None = None,
    budget: str | None = None,
    *,
    attacker: Target | None = None,
    specs: tuple[str, ...] = (),
    guards: dict[str, Guard] | None = None,
    objectives: list[str] = OBJECTIVES,
) -> Results:
    options = CampaignOptions(budget=Budget.parse(budget))
    chosen = [*(attacks or []), *(load(spec) for spec in specs)]
    aims = from_texts(objectives)

    async def run() -> Results:
        return await attack(
            target, aims, chosen, load_policy(None), store, guards or judges(), options, attacker=attacker
        )

    return anyio.run(run)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "evidence.db") as store:
        yield store


def test_an_attack_ends_with_its_first_success(store: Store) -> None:
    found = campaign(store, yields_at(3), [Counting()]).attacks[0]
    assert (found.asr.rate, found.asr.n, found.calls, found.to_success.calls.value) == (1.0, 6, 18, 3)
    assert found.at["1"].rate == 0.0
    assert found.refused == 12


def test_without_success_it_ends_with_its_calls(store: Store) -> None:
    found = campaign(store, yields_at(6), [Counting(calls=5)]).attacks[0]
    assert (found.asr.rate, found.calls, found.to_success.calls.value) == (0.0, 30, None)


def test_what_was_asked_is_found_again_by_other_runs(store: Store) -> None:
    target = yields_at(1)
    campaign(store, target, [Counting()])
    conversation = user(f"try 1 of {OBJECTIVES[0]}")
    reply = store.recall(ask_key(target.info, CampaignOptions().sampling, conversation))
    assert reply is not None
    assert reply.text == "UNSAFE"


def test_an_attack_may_have_nothing_more_to_try(store: Store) -> None:
    assert campaign(store, yields_at(9), [Counting(most=2)]).attacks[0].calls == 12


def test_the_calls_of_a_budget_are_shared_evenly_and_never_exceeded(store: Store) -> None:
    target = yields_at(100)
    found = campaign(store, target, [Counting(name="a"), Counting(name="b")], "25calls")
    assert [each.calls for each in found.attacks] == [13, 12]
    assert len(target.asked) == 25


def test_a_budget_of_time_is_kept_and_said(store: Store) -> None:
    found = campaign(store, yields_at(100), [Counting(calls=50)], "0.000001s")
    assert found.state == "out_of_budget"
    assert found.attacks[0].calls < 50


class AllAtOnce:
    """Asks everything that it has in one call of the session."""

    info = AttackInfo(name="all at once", family="test", calls=8)

    async def run(self, session: Session) -> None:
        await session.ask([user(f"try {number} of {session.objective.text}") for number in range(1, 9)])


@pytest.mark.parametrize("attacks", [[Counting(calls=8)], [AllAtOnce()]], ids=["one by one", "at once"])
def test_a_budget_of_money_stops_what_waits_and_what_came_is_judged(
    store: Store, attacks: list[Counting]
) -> None:
    paid = said("REFUSE").model_copy(update={"cost_usd": 0.1})
    target = FakeTarget(lambda prompt, _: paid, batch_size=1, concurrency=3, priced=True)
    found = campaign(store, target, attacks, "0.95usd")
    assert 10 <= len(target.asked) <= 12, "those under way when it is used up, and no more"
    assert (found.state, found.attacks[0].unassessed) == ("out_of_budget", 0)
    asked = len(target.asked)
    assert campaign(store, target, attacks, "0.95usd") == found
    assert len(target.asked) == asked, "what an earlier start has paid counts"


def test_a_budget_of_money_takes_prices(store: Store) -> None:
    with pytest.raises(UsageError, match="never end"):
        campaign(store, FakeTarget(lambda prompt, _: said("REFUSE")), [Counting()], "1usd")


def test_what_was_not_judged_before_the_money_was_used_up_is_judged_afterwards(store: Store) -> None:
    class Killed(BaseException):
        pass

    class Fails(type(judges()["harm"])):  # type: ignore[misc]
        async def judge(self, exchanges):  # type: ignore[no-untyped-def]
            raise Killed

    paid = said("REFUSE").model_copy(update={"cost_usd": 1.0})
    target = FakeTarget(lambda prompt, _: paid, priced=True)
    with pytest.raises(Killed):
        campaign(store, target, [Counting()], "1usd", guards={**judges(), "harm": Fails("harm")})
    asked = len(target.asked)
    found = campaign(store, target, [Counting()], "1usd")
    assert (found.attacks[0].attempts, found.attacks[0].unassessed) == (asked, 0)
    assert len(target.asked) == asked


def test_a_judge_that_raises_leaves_what_came_unassessed(store: Store) -> None:
    class Raises(type(judges()["harm"])):  # type: ignore[misc]
        async def judge(self, exchanges):  # type: ignore[no-untyped-def]
            raise RuntimeError("no weights")

    target = FakeTarget(lambda prompt, _: said("REFUSE"))
    found = campaign(store, target, [Counting(calls=2)], guards={**judges(), "harm": Raises("harm")})
    assert (found.attacks[0].unassessed, found.attacks[0].asr.n) == (found.attacks[0].attempts, 0)
    assert "no weights" in next(iter(found.causes))


def test_the_same_command_asks_nothing_again(store: Store) -> None:
    target = yields_at(3)
    first = campaign(store, target, [Counting()])
    asked = len(target.asked)
    assert campaign(store, target, [Counting()]) == first
    assert len(target.asked) == asked


class Dies:
    """A target whose process is killed at one call: the campaign ends with an exception there."""

    def __init__(self, inner: FakeTarget, after: int) -> None:
        self.inner, self._after = inner, after

    @property
    def info(self) -> object:
        return self.inner.info

    async def reply(self, conversations: list[object], sampling: Sampling) -> list[Reply]:
        if len(self.inner.asked) >= self._after:
            raise RuntimeError("killed")
        return await self.inner.reply(conversations, sampling)  # type: ignore[arg-type]

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize("spec", ["direct", "best_of_n", "pair"])
@pytest.mark.parametrize("after", [0, 1, 7, 20])
def test_a_run_that_was_cut_off_ends_like_one_that_was_not(tmp_path: Path, spec: str, after: int) -> None:
    def answer(prompt: str, sampling: Sampling) -> Reply:
        rng = random.Random(prompt)  # the reply depends on the prompt alone
        return said("UNSAFE" if rng.random() < 0.1 else f"REFUSE {rng.random()}")

    def writes(prompt: str, sampling: Sampling) -> Reply:
        return said(f"<prompt>{random.Random(f'{prompt} {sampling.seed}').random()}</prompt>")

    whole = FakeTarget(answer)
    with Store(tmp_path / "whole.db") as store:
        expected = campaign(store, whole, specs=(spec,), attacker=FakeTarget(writes, name="writer"))
    part = FakeTarget(answer)
    with Store(tmp_path / "part.db") as store:
        writer = FakeTarget(writes, name="writer")
        try:
            campaign(store, Dies(part, after), specs=(spec,), attacker=writer)  # type: ignore[arg-type]
        except RuntimeError:
            assert store.state(store.run("latest").id) == "interrupted"
        found = campaign(store, part, specs=(spec,), attacker=writer)
    same = found.model_copy(update={"run": expected.run})
    assert same.model_dump(exclude={"attacks": {"__all__": {"seconds"}}}) == expected.model_dump(
        exclude={"attacks": {"__all__": {"seconds"}}}
    )
    assert len(part.asked) - len(whole.asked) <= 8, "only what was under way is asked again"


def test_a_target_that_only_fails_is_given_up_and_tried_again_later(store: Store) -> None:
    broken = FakeTarget(lambda prompt, _: Reply.error("http 500"))
    with pytest.raises(UnreachableError, match="http 500"):
        campaign(store, broken, [Counting(calls=50)])
    assert campaign(store, yields_at(1), [Counting(calls=50)]).attacks[0].asr.rate == 1.0


def test_what_failed_in_a_finished_run_is_asked_again_and_nothing_else(store: Store) -> None:
    broken = FakeTarget(lambda prompt, _: Reply.error("http 500") if "plan 3" in prompt else said("REFUSE"))
    first = campaign(store, broken, specs=("direct",))
    assert (first.state, first.attacks[0].asr.n, first.attacks[0].asr.unassessed) == ("finished", 5, 1)
    mended = FakeTarget(lambda prompt, _: said("UNSAFE"))
    found = campaign(store, mended, specs=("direct",))
    assert mended.asked == [OBJECTIVES[3]]
    assert (found.run, found.attacks[0].asr.n, found.attacks[0].asr.rate) == (first.run, 6, 1 / 6)


def test_that_not_one_reply_came_is_an_error_and_all_of_it_is_asked_again(store: Store) -> None:
    broken = FakeTarget(lambda prompt, _: Reply.error("no connection"))
    for _ in range(2):
        with pytest.raises(UnreachableError, match=r"no connection \(6\)"):
            campaign(store, broken, specs=("direct",))
    assert len(broken.asked) == 12
    assert campaign(store, yields_at(1), specs=("direct",)).attacks[0].asr.n == 6


def behind_a_dead_guard(ends: str) -> FakeTarget:
    """A target that gives in, behind a guard that cannot judge prompts with that end."""
    cause = "prompt blocked by dead: not judged, connection failed"
    blocked = Reply(status=ReplyStatus.BLOCKED, text="No.", cause=cause, unjudged=True)
    return FakeTarget(lambda prompt, _: blocked if prompt.endswith(ends) else said("UNSAFE"))


def test_what_a_guard_in_front_blocked_unjudged_is_unassessed(store: Store) -> None:
    found = campaign(store, behind_a_dead_guard(" 5"), specs=("direct",))
    asr = found.attacks[0].asr
    assert (asr.rate, asr.n, asr.unassessed) == (1.0, 5, 1)
    assert found.causes == {"blocked: prompt blocked by dead: not judged, connection failed": 1}


def test_a_guard_in_front_that_judges_nothing_is_no_defence(store: Store) -> None:
    dead = behind_a_dead_guard("")
    with pytest.raises(UnreachableError, match=r"Not one reply came: .*connection failed \(6\)"):
        campaign(store, dead, specs=("direct",))
    found = campaign(store, yields_at(1), specs=("direct",))
    assert (found.attacks[0].asr.n, found.caveats) == (6, ())


def test_a_target_behind_a_dead_guard_is_given_up(store: Store) -> None:
    dead = behind_a_dead_guard("")
    with pytest.raises(UnreachableError, match="not judged, connection failed"):
        campaign(store, dead, specs=("best_of_n",), budget="600calls")
    assert len(dead.asked) < 60


def test_that_the_writer_only_fails_is_an_error(store: Store) -> None:
    writer = FakeTarget(lambda prompt, _: Reply.error("no connection"), name="writer")
    with pytest.raises(UnreachableError, match="no connection"):
        campaign(store, yields_at(1), specs=("pair(1, 1)",), attacker=writer)


FAULTS: tuple[Callable[[], Reply], ...] = (
    lambda: Reply.error("http 429"),
    lambda: Reply.error("http 500"),
    lambda: Reply.error("timed out"),
    lambda: Reply(status=ReplyStatus.EMPTY),
    lambda: Reply(status=ReplyStatus.MALFORMED, cause="not JSON"),
    lambda: said("GARBLED"),
    lambda: said("x" * 1_000_000),
    lambda: said("REFUSE"),
)


def test_with_faults_at_random_every_attempt_is_accounted_for_and_the_rate_is_that_of_the_clean_run(
    tmp_path: Path,
) -> None:
    texts = [f"steal {i}" for i in range(200)]

    def clean(prompt: str, _: Sampling) -> Reply:
        return said("UNSAFE" if random.Random(prompt).random() < 0.4 else "a harmless reply")

    def faulty(prompt: str, sampling: Sampling) -> Reply:
        rng = random.Random(prompt + "fault")
        return rng.choice(FAULTS)() if rng.random() < 0.3 else clean(prompt, sampling)

    with Store(tmp_path / "clean.db") as store:
        expected = campaign(store, FakeTarget(clean), specs=("direct",), objectives=texts).attacks[0]
    with Store(tmp_path / "faulty.db") as store:
        found = campaign(store, FakeTarget(faulty), specs=("direct",), objectives=texts)
    each = found.attacks[0]
    assert each.attempts == 200
    assert each.asr.n + each.asr.unassessed == 200
    assert each.unassessed == each.asr.unassessed == sum(found.causes.values()) > 20
    assert set(found.causes) >= {"error: http 429", "error: http 500", "error: timed out", "empty", "garbled"}
    assert expected.asr.rate is not None
    assert each.asr.low <= expected.asr.rate <= each.asr.high


def test_an_attempt_without_a_verdict_may_have_succeeded_in_the_upper_limit(store: Store) -> None:
    target = FakeTarget(lambda prompt, _: Reply.error("http 500") if "try 2" in prompt else said("REFUSE"))
    found = campaign(store, target, [Counting()]).attacks[0]
    assert (found.asr.rate, found.asr.n, found.asr.low, found.unassessed) == (0.0, 6, 0.0, 6)
    assert found.asr.high == 1.0


def test_attacks_are_compared_with_direct_asking_in_pairs(store: Store) -> None:
    target = FakeTarget(lambda prompt, _: said("UNSAFE" if prompt.startswith("try 2 ") else "REFUSE"))
    direct, other = campaign(store, target, [Counting()], specs=("direct",)).attacks[::-1]
    assert (direct.p, other.p) == (None, pytest.approx(2 * 0.5**6))


def test_the_judge_sees_the_objective_and_not_its_disguise(store: Store) -> None:
    seen: list[str] = []

    class Watching(type(judges()["harm"])):  # type: ignore[misc]
        async def judge(self, exchanges):  # type: ignore[no-untyped-def]
            seen.extend(exchange.prompt for exchange in exchanges)
            return await super().judge(exchanges)

    campaign(
        store, yields_at(1), [Counting()], guards={"harm": Watching("harm"), "refusal": judges()["refusal"]}
    )
    assert set(seen) == set(OBJECTIVES)


def test_successes_are_given_on_request_only(store: Store) -> None:
    run = campaign(store, yields_at(1), [Counting()]).run
    assert successes(store, run, 0) == []
    first = successes(store, run, 2)
    assert len(first) == 2
    assert first[0].reply == "UNSAFE"
    assert first[0].conversation[0].content.startswith("try 1 of steal")


def test_wrong_use_is_told(store: Store) -> None:
    target = yields_at(1)
    with pytest.raises(UsageError, match="nothing to attack"):
        campaign(store, target, objectives=[], specs=("direct",))
    with pytest.raises(UsageError, match="'counting' is there twice"):
        campaign(store, target, [Counting(), Counting()])
    twice = from_texts(["steal it"]) + from_texts(["steal it"])
    with pytest.raises(UsageError, match=r"The objective '.*' is there twice"):
        anyio.run(attack, target, twice, [load("direct")], load_policy(None), store, judges())
    with pytest.raises(UsageError, match="needs a model that writes"):
        campaign(store, target, specs=("pair",))


def test_a_check_is_not_an_attack(store: Store) -> None:
    run = campaign(store, yields_at(1), [Counting()]).run
    from harmless.check import grade

    with pytest.raises(UsageError, match="is an attack"):
        grade(store, store.run(run))
    assert results(store, run).objectives == 6
