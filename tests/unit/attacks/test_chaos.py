"""With faults at random every attempt of an adaptive attack is accounted for, and the rate stays right."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from harmless.core import Reply, Sampling
from harmless.evidence import Store
from tests.doubles import FakeTarget, said
from tests.unit.attacks.test_campaign import FAULTS, campaign

TEXTS = [f"steal {i}" for i in range(24)]
#: Chance that a prompt works, that a call is faulty; both follow from the prompt.
WORKS, FAULTY = 0.05, 0.3


def clean(prompt: str, _: Sampling) -> Reply:
    return said("UNSAFE" if random.Random(prompt).random() < WORKS else f"REFUSE {len(prompt)}")


def faulty(prompt: str, sampling: Sampling) -> Reply:
    rng = random.Random(f"{prompt} fault")
    return rng.choice(FAULTS)() if rng.random() < FAULTY else clean(prompt, sampling)


def writes(prompt: str, sampling: Sampling) -> Reply:
    rng = random.Random(f"{prompt[-200:]} {sampling.seed}")
    if rng.random() < FAULTY:
        return rng.choice(FAULTS)()
    return said(f"<prompt>{rng.random()} {prompt[-20:]}</prompt>")


@pytest.mark.parametrize("spec", ["best_of_n", "genetic(2)", "pair(2, 4)", "crescendo(3, 3)"])
def test_the_rate_of_the_clean_run_lies_in_the_interval_of_the_faulty_one(tmp_path: Path, spec: str) -> None:
    found = {}
    for name, answer in (("clean", clean), ("faulty", faulty)):
        target = FakeTarget(answer)
        with Store(tmp_path / f"{name}.db") as store:
            run = campaign(
                store, target, specs=(spec,), objectives=TEXTS, attacker=FakeTarget(writes, name="writer")
            )
            made = Counter(a.reply.status.value for a in store.attempts(run.run))
        each = run.attacks[0]
        assert each.attempts == each.calls == len(target.asked)
        assert sum(made.values()) == each.calls + each.attacker_calls
        assert each.unassessed == sum(run.causes.values())
        assert each.asr.n + each.asr.unassessed == len(TEXTS)
        found[name] = each
    assert found["faulty"].unassessed > 0.15 * found["faulty"].calls
    rate = found["clean"].asr.rate
    assert rate is not None
    assert found["faulty"].asr.low <= rate <= found["faulty"].asr.high
    assert found["faulty"].asr.low < found["faulty"].asr.high
