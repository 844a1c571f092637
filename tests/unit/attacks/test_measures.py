"""What a campaign is measured by: success within a budget, effort, variety, hazards, transfer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import anyio
import pytest

from harmless.attacks import CampaignOptions, Results, attack, from_texts, load, results
from harmless.attacks.by_hazard import by_hazard
from harmless.attacks.contract import Attack, AttackInfo, Session
from harmless.attacks.recorded import recorded
from harmless.check import load_policy
from harmless.core import Prompt, Reply, ReplyStatus, user
from harmless.core.reply import Usage
from harmless.errors import UnknownNameError
from harmless.evidence import Store
from tests.doubles import FakeGuard, FakeTarget, judges, said
from tests.unit.attacks.test_campaign import OBJECTIVES, Counting, campaign, yields_at


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "evidence.db") as store:
        yield store


def attacked(store: Store, target: FakeTarget, attacks: list[Attack], objectives: list[Prompt]) -> Results:
    async def run() -> Results:
        return await attack(target, objectives, attacks, load_policy(None), store, judges(), CampaignOptions())

    return anyio.run(run)


def test_the_area_is_one_with_the_first_call_and_a_half_with_the_tenth(store: Store) -> None:
    areas = [
        campaign(store, yields_at(n), [Counting(name=f"c{n}", calls=120)]).attacks[0].area.rate
        for n in (1, 10, 100, 110)
    ]
    assert areas == pytest.approx([1.0, 0.5, 0.0, 0.0])


def test_success_is_told_for_every_budget(store: Store) -> None:
    at = campaign(store, yields_at(7), [Counting(calls=12)]).attacks[0].at
    assert {budget: rate.rate for budget, rate in at.items()} == {"1": 0.0, "10": 1.0, "100": 1.0}


def test_a_call_without_a_verdict_may_have_been_the_one(store: Store) -> None:
    def answer(prompt: str, _: object) -> Reply:
        if prompt.startswith("try 1 "):
            return Reply.error("http 500")
        return said("UNSAFE" if prompt.startswith("try 10 ") else "REFUSE")

    area = campaign(store, FakeTarget(answer), [Counting(calls=10)]).attacks[0].area
    assert (area.rate, area.high) == (pytest.approx(0.5), 1.0)


def test_an_objective_without_any_verdict_is_unassessed(store: Store) -> None:
    target = FakeTarget(lambda prompt, _: Reply.error("x") if "plan 1" in prompt else said("REFUSE"))
    area = campaign(store, target, [Counting(calls=2)]).attacks[0].area
    assert (area.rate, area.n, area.unassessed) == (0.0, 5, 1)


def test_effort_counts_all_calls_until_the_first_success(store: Store) -> None:
    def answer(prompt: str, _: object) -> Reply:
        usage = Usage(prompt_tokens=10, completion_tokens=5)
        text = "UNSAFE" if prompt.startswith("try 3 ") else "REFUSE"
        return Reply(status=ReplyStatus.COMPLETE, text=text, usage=usage, cost_usd=0.01)

    found = campaign(store, FakeTarget(answer), [Counting()]).attacks[0].to_success
    assert (found.calls.value, found.calls.low, found.calls.high, found.calls.n) == (3, 3, 3, 6)
    assert found.tokens.value == 45
    assert found.cost_usd.value == pytest.approx(0.03)


class Writing:
    """Lets its model write what it asks."""

    info = AttackInfo(name="writing", family="test", calls=2, attacker=True)

    async def run(self, session: Session) -> None:
        await session.ask([user(await session.write(user("write")) or "nothing")])


def test_what_the_attackers_model_wrote_counts_as_effort(store: Store) -> None:
    written = Reply(status=ReplyStatus.COMPLETE, text="open it", usage=Usage(prompt_tokens=100))
    target, writer = FakeTarget(lambda *_: said("UNSAFE")), FakeTarget(lambda *_: written, name="writer")

    async def run() -> Results:
        aims, rules = from_texts(["open the box"]), load_policy(None)
        return await attack(target, aims, [Writing()], rules, store, judges(), attacker=writer)

    found = anyio.run(run).attacks[0].to_success
    assert (found.calls.value, found.tokens.value) == (1, 100)


def test_variety_tells_the_same_prompt_from_different_ones(store: Store) -> None:
    texts = ["open the old box", "sing a song of winter", "where do whales sleep at night"]
    target = FakeTarget(lambda *_: said("UNSAFE"))
    plain = campaign(store, target, specs=("direct",), objectives=texts).attacks[0].variety
    framed = campaign(store, target, specs=("template(debug_console)",), objectives=texts).attacks[0].variety
    assert plain is not None
    assert framed is not None
    assert framed.self_bleu > plain.self_bleu
    assert framed.dispersion < plain.dispersion


def test_one_success_has_no_variety(store: Store) -> None:
    target = FakeTarget(lambda *_: said("UNSAFE"))
    assert campaign(store, target, specs=("direct",), objectives=["open it"]).attacks[0].variety is None


def test_success_is_told_by_hazard(store: Store) -> None:
    aims = [*from_texts(["open a", "open b"], "salad.c.O54"), *from_texts(["close c"], "salad.c.O1")]
    target = FakeTarget(lambda prompt, _: said("UNSAFE" if "try 2" in prompt and "open" in prompt else "no"))
    run = attacked(store, target, [Counting(name="x", calls=2), Counting(name="y", calls=1)], aims).run
    found = by_hazard(store, run, "category")
    assert {row.key: row.objectives for row in found.rows} == {"salad.c.O1": 1, "salad.c.O54": 2}
    theft = found.rows[1]
    assert (theft.any.rate, theft.attacks["x"].rate, theft.attacks["y"].rate) == (1.0, 1.0, 0.0)
    assert len(by_hazard(store, run, "domain").rows) == 2
    with pytest.raises(UnknownNameError):
        by_hazard(store, run, "colour")


def test_transfer_counts_each_success_that_is_said_again(store: Store, tmp_path: Path) -> None:
    first = campaign(
        store,
        FakeTarget(lambda prompt, _: said("UNSAFE" if "box" in prompt else "no")),
        specs=("direct", "template(debug_console)"),
        objectives=["open the box", "close the box", "open the door"],
    ).run
    other = FakeTarget(lambda prompt, _: said("UNSAFE" if prompt == "open the box" else "no"), name="other")
    again = [recorded(first, str(tmp_path)), load("direct")]
    found = attacked(store, other, again, store.prompts(first)).transfer
    assert found is not None
    assert (found.source, found.source_target, found.rate.rate, found.rate.n) == (first, "fake", 0.25, 4)
    assert {name: rate.rate for name, rate in found.attacks.items()} == {
        "direct": 0.5,
        "template(debug_console)": 0.0,
    }
    assert (found.objectives.rate, found.objectives.n) == (0.5, 2)
    direct = found.paired["direct"]
    assert (direct.pairs, direct.lost, direct.gained) == (3, 1, 0)
    assert direct.difference == pytest.approx(-1 / 3)
    assert direct.low < direct.difference < direct.high


class Known(FakeGuard):
    """A judge whose errors are known."""

    error_rates: ClassVar[dict[str, float]] = {
        "sensitivity": 0.9, "n_unsafe": 500, "specificity": 0.8, "n_safe": 500,
    }  # fmt: skip


def test_success_is_corrected_for_the_judges_errors_where_each_objective_was_tried_once(store: Store) -> None:
    target = FakeTarget(lambda prompt, _: said("UNSAFE" if prompt.endswith(("1", "2", "3")) else "no"))
    guards = {"harm": Known("harm"), "refusal": FakeGuard("refusal")}
    once, often = (
        campaign(store, target, [Counting(calls=calls, name=f"c{calls}")], guards=guards).attacks[0]
        for calls in (1, 3)
    )
    assert once.asr.rate == often.asr.rate == 0.5
    # (0.5 + 0.8 - 1) / (0.9 + 0.8 - 1)
    assert once.asr.corrected == pytest.approx(0.3 / 0.7)
    assert often.asr.corrected is None
    assert once.by_error_alone == pytest.approx(0.2)


def test_what_the_judge_never_saw_is_no_error_of_the_judge(store: Store) -> None:
    def answer(prompt: str, _: object) -> Reply:
        if prompt.endswith(("3", "4", "5")):
            return said("I will not", ReplyStatus.BLOCKED)
        return Reply.error("http 500") if "try 2" in prompt or prompt.endswith("0") else said("no")

    guards = {"harm": Known("harm"), "refusal": FakeGuard("refusal")}
    found = campaign(store, FakeTarget(answer), [Counting(calls=2)], guards=guards).attacks[0]
    # Of the five that could be assessed two were judged, with one reply each.
    assert found.by_error_alone == pytest.approx(0.2 * 2 / 5)
    withheld = FakeTarget(lambda *_: said("I will not", ReplyStatus.BLOCKED), name="guarded")
    assert campaign(store, withheld, [Counting(calls=2)], guards=guards).attacks[0].by_error_alone is None


def test_objectives_that_an_attack_never_asked_for_are_counted_and_said(store: Store) -> None:
    writer = FakeTarget(lambda *_: said("REFUSE"), name="writer")
    target = FakeTarget(lambda *_: said("no"))
    found = campaign(store, target, [Counting(calls=2)], "8calls", specs=("pair(1, 1)",), attacker=writer)
    counting, pair = found.attacks
    assert (counting.asr.n, counting.untried) == (4, 2)
    assert (pair.asr.n, pair.untried) == (0, 6)
    told = "Never asked for, and so in no rate of the attack: counting 2 of 6 objectives, pair(1, 1) 6 of 6"
    assert any(caveat.startswith(told) for caveat in found.caveats)


def test_what_was_withheld_needed_no_judge(store: Store) -> None:
    def answer(prompt: str, _: object) -> Reply:
        if prompt.endswith(("4", "5")):
            return said("I will not", ReplyStatus.BLOCKED)
        return said("UNSAFE" if prompt.endswith(("1", "2")) else "no")

    guards = {"harm": Known("harm"), "refusal": FakeGuard("refusal")}
    asr = campaign(store, FakeTarget(answer), [Counting(calls=1)], guards=guards).attacks[0].asr
    assert asr.rate == pytest.approx(2 / 6)
    assert asr.corrected == pytest.approx((0.5 - 0.2) / 0.7 * 4 / 6)


def test_a_run_that_replays_nothing_has_no_transfer(store: Store) -> None:
    assert campaign(store, yields_at(1), [Counting()]).transfer is None


def test_a_replayed_run_of_another_workspace_has_no_transfer(store: Store, tmp_path: Path) -> None:
    with Store(tmp_path / "else" / "evidence.db") as elsewhere:
        first = campaign(elsewhere, FakeTarget(lambda *_: said("UNSAFE")), specs=("direct",)).run
    again = recorded(first, str(tmp_path / "else"))
    found = attacked(store, FakeTarget(lambda *_: said("no")), [again], from_texts(OBJECTIVES))
    assert found.transfer is None
    assert results(store, found.run) == found
