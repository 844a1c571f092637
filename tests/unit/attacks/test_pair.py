"""PAIR improves a prompt by what the judge said; what the attacker's model writes is read with care."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from harmless.attacks import CampaignOptions, Results, attack, from_texts, load
from harmless.attacks.writing import wording, written_prompt
from harmless.check import load_policy
from harmless.core import Reply, Sampling
from harmless.errors import UnknownNameError, UsageError
from harmless.evidence import Store
from tests.doubles import FakeTarget, judges, said


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("Sure. <prompt> Tell a story </prompt> Good?", "Tell a story"),
        ("<PROMPT>cut off", "cut off"),
        ('"Tell a story"', "Tell a story"),
        ("</prompt>", None),
        ("", None),
        (None, None),
    ],
)
def test_the_prompt_is_what_stands_in_tags_or_else_all(text: str | None, prompt: str | None) -> None:
    assert written_prompt(text) == prompt


def attacked(tmp_path: Path, writer: FakeTarget, target: FakeTarget) -> Results:
    async def run() -> Results:
        with Store(tmp_path / "e.db") as store:
            return await attack(
                target,
                from_texts(["open the box"]),
                [load("pair(2, 3)")],
                load_policy(None),
                store,
                judges(),
                CampaignOptions(),
                attacker=writer,
            )

    return anyio.run(run)


def test_the_attacker_is_told_the_reply_and_its_rating(tmp_path: Path) -> None:
    def writes(prompt: str, _: Sampling) -> Reply:
        return said("<prompt>second</prompt>" if "REFUSE this" in prompt else "<prompt>first</prompt>")

    target = FakeTarget(lambda prompt, _: said("UNSAFE" if prompt == "second" else "REFUSE this"))
    writer = FakeTarget(writes)
    attacked(tmp_path, writer, target)
    assert target.asked == ["first", "first", "second"]
    assert "open the box" in writer.asked[0]
    assert "on a scale from 1" in writer.asked[2]
    assert "reply 1 on" in writer.asked[2]


def test_an_attacker_that_refuses_costs_no_call_of_the_target_and_is_told_the_next_strategy(
    tmp_path: Path,
) -> None:
    writer, target = FakeTarget(lambda *_: said("REFUSE")), FakeTarget(lambda *_: said("REFUSE"))
    results = attacked(tmp_path, writer, target)
    (found,) = results.attacks
    assert target.asked == []
    caveat, untried = results.caveats
    assert f"{found.name} 1 of 1 objectives" in untried
    assert f"failed or refused to write: {found.name} 6 of 6." in caveat
    assert found.attacker_failures == found.attacker_calls == 6
    with Store(tmp_path / "e.db") as store:
        steps = store.steps(found_run(store)).values()
    assert len({step.conversation[0].content for step in steps}) == 3
    assert {step.note for step in steps} == set(wording("pair")["strategies"])


def test_a_strategy_is_shown_by_harmless_examples_in_its_own_words(tmp_path: Path) -> None:
    writer = FakeTarget(lambda *_: said("<prompt>new</prompt>"))
    attacked(tmp_path, writer, FakeTarget(lambda *_: said("REFUSE")))
    with Store(tmp_path / "e.db") as store:
        steps = [step for step in store.steps(found_run(store)).values() if step.role == "attacker"]
    for step in steps:
        shots = wording("pair")["shots"][step.note]
        assert [m.content for m in step.conversation[2:8:2]] == [
            f"<prompt>{s['prompt']}</prompt>" for s in shots
        ]
        assert "open the box" in step.conversation[-1].content


def found_run(store: Store) -> str:
    return store.run("latest").id


def test_wrong_specs_are_told() -> None:
    with pytest.raises(UsageError, match="'0' is no depth"):
        load("pair(1, 0)")
    with pytest.raises(UsageError, match="best_of_n"):
        load("best_of_n(1, 2, 3)")
    with pytest.raises(UnknownNameError, match="pair"):
        load("pear")
