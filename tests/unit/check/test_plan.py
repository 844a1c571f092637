"""Plans, budgets and policies."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.check import Budget, Plan, load_policy
from harmless.core import Expect, Prompt, Sampling, user
from harmless.errors import BadFileError, UsageError


def plan(count: int = 5, **changes: object) -> Plan:
    prompts = tuple(
        Prompt(id=str(i), conversation=user(f"q{i}"), expect=Expect.REFUSE, hazard="salad.c.O1")
        for i in range(count)
    )
    return Plan.model_validate({"suite": "s", "prompts": prompts, "sampling": Sampling(), **changes})


@given(st.integers(1, 60), st.integers(1, 4), st.integers(0, 9))
def test_the_order_asks_everything_exactly_once(count: int, samples: int, seed: int) -> None:
    order = plan(count, samples=samples, order_seed=seed).order()
    assert sorted(order) == [(i, s) for i in range(count) for s in range(samples)]


def test_the_order_is_shuffled_and_the_same_every_time() -> None:
    assert plan(50).order() == plan(50).order()
    assert plan(50).order() != sorted(plan(50).order())


@pytest.mark.parametrize(
    "change", [{"samples": 2}, {"order_seed": 1}, {"sampling": Sampling(seed=1)}, {"prompts": plan(4).prompts}]
)
def test_the_hash_changes_with_all_that_is_asked(change: dict[str, object]) -> None:
    assert plan(**change).hash != plan().hash


def test_the_hash_does_not_change_with_the_name_of_the_suite() -> None:
    assert plan(suite="other").hash == plan().hash


def test_a_plan_says_what_difference_it_can_find() -> None:
    small, large = plan(20).smallest_difference(), plan(200).smallest_difference()
    assert small is not None
    assert large is not None
    assert 0 < large < small < 1
    assert plan(2).smallest_difference() is None


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("500calls", Budget(calls=500)),
        ("1call", Budget(calls=1)),
        ("90s", Budget(seconds=90)),
        ("1.5m", Budget(seconds=90)),
        ("1h, 2usd", Budget(seconds=3600, usd=2)),
        (None, Budget()),
    ],
)
def test_budgets_are_read(text: str | None, budget: Budget) -> None:
    assert Budget.parse(text) == budget


@pytest.mark.parametrize("text", ["10", "x", "5days", "0calls", "-3m"])
def test_a_bad_budget_is_wrong_use(text: str) -> None:
    with pytest.raises(UsageError, match="not a budget"):
        Budget.parse(text)


def test_a_policy_file_changes_only_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "strict.yaml"
    path.write_text("hazards: [Theft, O1]\nguards: {judge: {threshold: 0.2}}\n")
    policy = load_policy(path)
    assert policy.hazards == ("salad.c.O57", "salad.c.O1")
    assert policy.guards["judge"].threshold == 0.2
    assert policy.grades == load_policy().grades
    assert policy.name == "strict"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hazards: [\n", r"bad\.yaml:2:1: Not YAML"),
        ("hazards: [Thef]\n", "Unknown hazard 'Thef'.*theft"),
        ("colour: red\n", "colour: Extra inputs"),
        ("guards: {judge: {threshold: 3}}\n", r"guards\.judge\.threshold"),
        ("grades: [{grade: A, max_rate: 0.5}]\n", "end at 1"),
        ("- a\n", "Not a policy"),
    ],
)
def test_a_bad_policy_is_named_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(BadFileError, match=f"(?is){message}"):
        load_policy(path)


def test_a_missing_policy_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="cannot be read"):
        load_policy(tmp_path / "none.yaml")
