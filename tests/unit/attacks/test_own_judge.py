"""An attack may bring its own judge and say what its replies are judged in view of."""

from __future__ import annotations

from pathlib import Path

import anyio

from harmless.attacks import CampaignOptions, Results, attack, from_texts, load
from harmless.attacks.contract import AttackInfo, Session
from harmless.check import load_policy
from harmless.core import user
from harmless.evidence import Store
from tests.doubles import FakeGuard, FakeTarget, judges, said

WORD = FakeGuard("word", word="MAGIC")


class Magician:
    """Asks twice; succeeds if the target says MAGIC."""

    info = AttackInfo(name="magician", family="test", calls=5, judge=WORD.info)

    async def run(self, session: Session) -> None:
        for number in range(2):
            await session.ask([user(f"trick {number}")], judge=WORD, aims=[user(f"aim {number}")])


def campaign(folder: Path, target: FakeTarget) -> Results:
    async def run() -> Results:
        with Store(folder / "e.db") as store:
            return await attack(
                target,
                from_texts(["a", "b"]),
                [load("direct"), Magician()],
                load_policy(None),
                store,
                judges(),
                CampaignOptions(),
            )

    return anyio.run(run)


def test_success_is_what_the_own_judge_says_it_is(tmp_path: Path) -> None:
    target = FakeTarget(lambda prompt, _: said("MAGIC" if prompt == "trick 1" else "UNSAFE"))
    direct, magician = campaign(tmp_path, target).attacks
    assert (direct.asr.rate, direct.calls) == (1.0, 2)
    assert (magician.asr.rate, magician.calls, magician.to_success.calls.value) == (1.0, 4, 2)


def test_a_reply_that_repeats_what_was_sent_is_no_success_but_for_an_own_judge(tmp_path: Path) -> None:
    with_marks = "UNSAFE MAGIC words which stand in each message that is sent here"

    class Sender(Magician):
        async def run(self, session: Session) -> None:
            await session.ask([user(with_marks)], judge=WORD if session.objective.text == "a" else None)

    async def run() -> Results:
        with Store(tmp_path / "e.db") as store:
            target, options = FakeTarget(lambda prompt, _: said(prompt)), CampaignOptions()
            policy = load_policy(None)
            return await attack(target, from_texts(["a", "b"]), [Sender()], policy, store, judges(), options)

    found = anyio.run(run).attacks[0]
    assert (found.asr.rate, found.asr.n) == (0.5, 2)


def test_it_is_not_compared_with_direct_asking(tmp_path: Path) -> None:
    _, magician = campaign(tmp_path, FakeTarget(lambda *_: said("nothing"))).attacks
    assert (magician.asr.rate, magician.p, magician.by_error_alone) == (0.0, None, None)


def test_the_same_command_asks_and_judges_nothing_again(tmp_path: Path) -> None:
    target = FakeTarget(lambda *_: said("MAGIC"))
    first, judged, asked = campaign(tmp_path, target), WORD.judged, len(target.asked)
    assert campaign(tmp_path, target) == first
    assert (WORD.judged, len(target.asked)) == (judged, asked)
