"""The bandit gives the budget to what works, spends no more than there is, and goes on where it was cut off."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import anyio
import pytest

from harmless.attacks import CampaignOptions, Results, attack, from_texts
from harmless.attacks.bandit import PULL, UNEVEN, Arm, Bandit, Beliefs, Place
from harmless.attacks.contract import AttackInfo, Session
from harmless.check import Budget, load_policy
from harmless.core import Reply, Sampling, user
from harmless.errors import UsageError
from harmless.evidence import Store
from tests.doubles import FakeTarget, judges, said

HAZARDS = ("salad.c.O1", "salad.c.O8")


class Saying:
    """Says its name and a number, ``together`` at a time, up to ``most`` times."""

    def __init__(self, name: str, together: int = 1, most: int = 1000) -> None:
        self.info = AttackInfo(name=name, family="test", calls=50)
        self._together, self._most = together, most

    async def run(self, session: Session) -> None:
        for first in range(0, self._most, self._together):
            texts = [f"{self.info.name} {first + i} {session.objective.text}" for i in range(self._together)]
            await session.ask([user(text) for text in texts])


def lucky(rates: dict[str, float]) -> FakeTarget:
    """A target that gives in to an attack with a probability of its own; the reply follows from the prompt."""

    def answer(prompt: str, _: Sampling) -> Reply:
        rate = rates.get(prompt.split()[0], 0.0) if "hard" not in prompt else 0.0
        return said("UNSAFE" if random.Random(prompt).random() < rate else "REFUSE")

    return FakeTarget(answer)


def campaign(store: Store, target: FakeTarget, attacks: list[Saying], calls: int | None) -> Results:
    aims = [
        aim
        for hazard, kind in zip(HAZARDS, ("easy", "hard"), strict=True)
        for aim in from_texts([f"{kind} {i}" for i in range(20)], hazard)
    ]
    options = CampaignOptions(budget=Budget(calls=calls), allocate="bandit")

    async def run() -> Results:
        return await attack(target, aims, attacks, load_policy(None), store, judges(), options)

    return anyio.run(run)


def test_most_of_the_budget_goes_to_the_attack_and_the_hazard_that_work(tmp_path: Path) -> None:
    target = lucky({"good": 0.1})
    with Store(tmp_path / "evidence.db") as store:
        found = campaign(store, target, [Saying("bad"), Saying("good"), Saying("direct")], 600)
    calls = {each.name: each.calls for each in found.attacks}
    assert calls["good"] > 2 * max(calls["bad"], calls["direct"])
    asked = Counter("hard" in prompt for prompt in target.asked if prompt.startswith("good"))
    assert asked[False] > asked[True]
    assert found.caveats == (UNEVEN,)
    assert all(each.p is None for each in found.attacks)


def test_the_budget_is_spent_to_the_last_call_and_never_exceeded(tmp_path: Path) -> None:
    target = lucky({})
    with Store(tmp_path / "evidence.db") as store:
        found = campaign(store, target, [Saying("bad", together=7), Saying("short", most=1)], 203)
    assert sum(each.calls for each in found.attacks) == len(target.asked) == 203
    assert found.state == "finished"


def test_an_objective_that_was_reached_is_left_alone(tmp_path: Path) -> None:
    target = lucky({"a": 1.0, "b": 1.0})
    with Store(tmp_path / "evidence.db") as store:
        campaign(store, target, [Saying("a"), Saying("b")], 400)
    asked = Counter(prompt.split(maxsplit=2)[2] for prompt in target.asked if "easy" in prompt)
    assert set(asked.values()) == {1}


def test_a_batch_that_is_larger_than_a_pull_comes_back_whole(tmp_path: Path) -> None:
    sizes = []

    class Counting(Saying):
        async def run(self, session: Session) -> None:
            tried = await session.ask([user(f"{i} {session.objective.text}") for i in range(3 * PULL - 1)])
            sizes.append(len(tried))

    target = lucky({})
    with Store(tmp_path / "evidence.db") as store:
        campaign(store, target, [Counting("many")], 10_000)
    assert sizes == [3 * PULL - 1] * 40
    assert len(target.asked) == 40 * (3 * PULL - 1)


class Dies(FakeTarget):
    after = 10_000

    async def reply(self, conversations, sampling):  # type: ignore[no-untyped-def]
        if len(self.asked) >= self.after:
            raise RuntimeError("killed")
        return await super().reply(conversations, sampling)


@pytest.mark.parametrize("after", [0, 30, 90])
def test_a_run_that_was_cut_off_ends_like_one_that_was_not(tmp_path: Path, after: int) -> None:
    rates = {"good": 0.2, "bad": 0.02}
    attacks = [Saying("bad", together=3), Saying("good")]
    whole = lucky(rates)
    with Store(tmp_path / "whole.db") as store:
        expected = campaign(store, whole, attacks, 200)
    part = Dies(whole._answer)
    part.after = after
    with Store(tmp_path / "part.db") as store:
        with pytest.raises(RuntimeError):
            campaign(store, part, attacks, 200)
        part.after = 10_000
        found = campaign(store, part, attacks, 200)
    fields = {"name", "calls", "asr", "refused"}
    assert [a.model_dump(include=fields) for a in found.attacks] == [
        a.model_dump(include=fields) for a in expected.attacks
    ]
    assert sorted(set(part.asked)) == sorted(whole.asked)
    assert len(part.asked) - len(whole.asked) <= 8, "only what was under way is asked again"


def test_without_a_number_of_calls_there_is_nothing_to_divide(tmp_path: Path) -> None:
    with Store(tmp_path / "evidence.db") as store, pytest.raises(UsageError, match="divides a number of calls"):
        campaign(store, lucky({}), [Saying("a")], None)


def test_an_arm_never_pulled_is_judged_by_its_attack_and_its_hazard() -> None:
    beliefs, rng = Beliefs(), random.Random(0)
    for _ in range(20):
        beliefs.learn(Arm("good", "x"), reward=True)
        beliefs.learn(Arm("bad", "x"), reward=False)
        beliefs.learn(Arm("bad", "y"), reward=False)

    def mean(arm: Arm) -> float:
        return sum(beliefs.draw(arm, rng) for _ in range(500)) / 500

    assert mean(Arm("good", "y")) > 0.3 > 0.1 > mean(Arm("bad", "z"))
    assert mean(Arm("good", "x")) > 0.8


def test_an_attack_that_brings_its_own_judge_leaves_the_objective_to_others() -> None:
    async def rounds() -> list[tuple[str, int]]:
        own, other = Place(Arm("own", None), 0, apart=True), Place(Arm("other", None), 0)
        bandit = Bandit([own, other], 1000, 16, 0)
        chosen = []
        while places := bandit.choose():
            for place in places:
                place.reached = True
                place.allowance.end()
                chosen.append((place.arm.attack, place.objective))
            bandit.learn()
        return chosen

    assert sorted(anyio.run(rounds)) == [("other", 0), ("own", 0)]


def test_no_two_places_of_a_round_work_on_one_objective() -> None:
    async def rounds() -> list[int]:
        places = [Place(Arm(name, None), i) for i in range(5) for name in "abc"]
        return [place.objective for place in Bandit(places, 100, 16, 0).choose()]

    assert sorted(anyio.run(rounds)) == [0, 1, 2, 3, 4]
