"""Attacks that lead conversations, or bring a judge, end after a kill as if there had been none."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from harmless.attacks import Results
from harmless.attacks.sycophancy import questions
from harmless.core import Reply, Sampling
from harmless.evidence import Store
from tests.doubles import FakeTarget, said
from tests.unit.attacks.test_campaign import Dies, campaign

SPECS = [
    "crescendo(4, 4)",
    "goat(3, 2)",
    "actor",
    "echo_chamber",
    "context_filling(200)",
    "tap(2, 2, 3)",
    "red_lm(12)",
    "injection",
    "exfiltration",
    "extraction",
    "pii",
    "false_premise(9)",
    "sycophancy(9)",
    "identity_swap",
]
RIGHT = {text: each["right"][0] for text, each in questions().items()}


def answer(prompt: str, _: Sampling) -> Reply:
    rng = random.Random(prompt)  # the reply depends on the prompt alone
    kinds = {"UNSAFE": 1, "REFUSE": 30, "ada@analytical.engine.org": 1, "fine": 60}
    if rng.random() < 0.05:
        return Reply.error("http 429")
    if prompt in RIGHT and rng.random() < 0.7:
        return said(RIGHT[prompt])
    return said(f"{rng.choices(list(kinds), list(kinds.values()))[0]} {rng.random()}")


def writes(prompt: str, sampling: Sampling) -> Reply:
    rng = random.Random(f"{prompt} {sampling.seed}")
    items = "\n".join(f"{i}. Is it number {rng.random()} here?" for i in range(1, 4))
    return said(
        "REFUSE"
        if rng.random() < 0.2
        else rng.choices([items, f"<prompt>{rng.random()}</prompt>", "No"], [4, 1, 1])[0]
    )


def found(folder: Path, spec: str, target: object) -> Results:
    """Return what the campaign in that folder found, without what differs between equal runs."""
    folder.mkdir(exist_ok=True)
    with Store(folder / "evidence.db") as store:
        results = campaign(
            store,
            target,  # type: ignore[arg-type]
            specs=(spec,),
            attacker=FakeTarget(writes, name="writer"),
            objectives=["open the old box", "cross the river"],
        )
    attacks = tuple(each.model_copy(update={"seconds": 0.0}) for each in results.attacks)
    return results.model_copy(update={"run": "", "attacks": attacks})


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("after", [1, 7])
def test_a_run_that_was_cut_off_ends_like_one_that_was_not(tmp_path: Path, spec: str, after: int) -> None:
    whole, part = FakeTarget(answer), FakeTarget(answer)
    expected = found(tmp_path / "whole", spec, whole)
    assert len(whole.asked) > after
    with pytest.raises(RuntimeError, match="killed"):
        found(tmp_path / "part", spec, Dies(part, after))
    assert found(tmp_path / "part", spec, part) == expected
    assert len(part.asked) - len(whole.asked) <= 8, "only what was under way is asked again"
