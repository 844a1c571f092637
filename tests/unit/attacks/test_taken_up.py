"""Attacks that were killed anywhere end, once run again, as if they had not been."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from harmless.attacks import Results, successes
from harmless.attacks.templates.template import templates
from harmless.core import Reply, Sampling
from harmless.evidence import Store
from tests.doubles import FakeTarget, said
from tests.unit.attacks.test_campaign import Dies, campaign

SPECS = [
    "transform(capitals)",
    "transform(base64, reply)",
    "transforms",
    "template(agree_first)",
    "templates",
    "persuasion",
    "replay",
    "recorded",
    "prefill",
    "genetic(4)",
    "climb(20)",
    "ladder",
    "mutation(20)",
    "translation",
]


def answer(prompt: str, _: Sampling) -> Reply:
    rng = random.Random(prompt)  # the reply depends on the prompt alone
    return said("UNSAFE" if rng.random() < 0.02 else f"REFUSE {rng.random()}" if rng.random() < 0.5 else "hm")


def writes(prompt: str, sampling: Sampling) -> Reply:
    rng = random.Random(f"{prompt} {sampling.seed}")
    return said("REFUSE" if rng.random() < 0.2 else f"<prompt>{rng.random()} [REQUEST]</prompt>")


def found(folder: Path, spec: str, target: object) -> tuple[Results, list[object]]:
    """Return what the campaign in that folder found, without what differs between equal runs."""
    with Store(folder / "evidence.db") as store:
        results = campaign(
            store, target, specs=(spec,), attacker=FakeTarget(writes, name="writer"), objectives=["a b", "c d"]
        )  # type: ignore[arg-type]
        reached = successes(store, results.run, 10)
    attacks = tuple(each.model_copy(update={"seconds": 0.0}) for each in results.attacks)
    return results.model_copy(update={"run": "", "attacks": attacks}), list(reached)


def earlier(folder: Path) -> str:
    """Return a run in which eight templates reached both objectives."""
    folder.mkdir()
    specs = tuple(f"template({name})" for name in list(templates())[:8])
    with Store(folder / "evidence.db") as store:
        target = FakeTarget(lambda *_: said("UNSAFE"), name="earlier")
        return campaign(store, target, specs=specs, objectives=["a b", "c d"]).run


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("after", [1, 9])
def test_a_run_that_was_cut_off_ends_like_one_that_was_not(tmp_path: Path, spec: str, after: int) -> None:
    if spec == "replay":
        file = tmp_path / "recorded.jsonl"
        file.write_text("\n".join(json.dumps({"text": f"text {i}"}) for i in range(30)))
        spec = f"replay({file}, 20)"
    if spec == "recorded":
        spec = f"recorded({earlier(tmp_path / 'earlier')}, {tmp_path / 'earlier'})"
    for name in ("whole", "part"):
        (tmp_path / name).mkdir()
    whole, part = FakeTarget(answer), FakeTarget(answer)
    expected = found(tmp_path / "whole", spec, whole)
    try:
        found(tmp_path / "part", spec, Dies(part, after))
    except RuntimeError:
        assert len(part.asked) < len(whole.asked)
    assert found(tmp_path / "part", spec, part) == expected
    assert len(part.asked) - len(whole.asked) <= 8, "only what was under way is asked again"
