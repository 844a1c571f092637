"""Defences are compared on the same objectives and benign prompts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest

from harmless.attacks import from_texts, load
from harmless.attacks.matrix import Contest, Matrix, behind, defend
from harmless.check import load_policy
from harmless.core import Expect, GuardInfo, Prompt, user
from harmless.data import Suite
from harmless.errors import UnknownNameError, UsageError
from harmless.evidence import Store
from tests.doubles import FakeTarget, judges, said

BENIGN = Suite(
    "benign",
    tuple(Prompt(id=str(i), conversation=user(f"read book {i}"), expect=Expect.ANSWER) for i in range(4)),
)


def wary() -> FakeTarget:
    """Does what it is asked, unless it is reminded; then it refuses everything."""
    return FakeTarget(lambda prompt, _: said("REFUSE" if "responsible" in prompt else "UNSAFE"))


def contest() -> Contest:
    return Contest(
        objectives=from_texts(["steal it", "hide it"]),
        attacks=[load("direct")],
        benign=BENIGN,
        policy=load_policy(None),
        judges=judges(),
    )


def compared(path: Path, target: FakeTarget, *names: str) -> Matrix:
    async def run() -> Matrix:
        with Store(path / "e.db") as store:
            return await defend(target, names, contest(), store)

    return anyio.run(run)


def test_every_defence_is_a_row_with_what_it_costs(tmp_path: Path) -> None:
    target = wary()
    found = compared(tmp_path, target, "self_reminder")
    bare, reminded = found.rows
    assert (bare.defence, bare.success["direct"].rate, bare.over_refusal.rate) == ("none", 1.0, 0.0)
    assert (reminded.defence, reminded.success["direct"].rate) == ("self_reminder", 0.0)
    assert (reminded.over_refusal.rate, reminded.calls) == (1.0, 2)
    asked = len(target.asked)
    assert compared(tmp_path, target, "self_reminder") == found
    assert len(target.asked) == asked, "nothing is asked again"


def test_a_defence_that_shares_parts_with_the_judge_has_a_caveat(tmp_path: Path) -> None:
    class Own(type(judges()["harm"])):  # type: ignore[misc]
        @property
        def info(self) -> GuardInfo:
            return super().info.model_copy(update={"family": "rules"})

    sharing = replace(contest(), judges={**judges(), "harm": Own("harm")})
    with Store(tmp_path / "e.db") as store:
        found = anyio.run(partial(defend, wary(), ["rules", "in_context"], sharing, store))
    assert [bool(row.caveats) for row in found.rows] == [False, True, False]


def test_a_guard_is_a_defence_too() -> None:
    target = wary()
    assert behind("none", target, load_policy(None)) is target
    assert behind("rules", target, load_policy(None)).info.name == "guarded:rules:fake"
    with pytest.raises(UnknownNameError):
        behind("selfreminder", target, load_policy(None))


def test_a_defence_twice_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="twice"):
        compared(tmp_path, wary(), "in_context", "in_context")
