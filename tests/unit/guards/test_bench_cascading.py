"""The curve of a cascade is that of the cascade guard itself, without judging anything again."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import numpy as np
import pytest

from harmless.check.policy import load_policy
from harmless.core import Exchange, GuardInfo, Outcome, Verdict
from harmless.data import Labelled
from harmless.guards import parts, registry
from harmless.guards.bench import Bench, Log, Rows, Settings, bench
from harmless.guards.cascade import Cascade


class Column:
    """Takes its score from the n-th word of the text."""

    def __init__(self, at: int, threshold: float, cost: float | None = None) -> None:
        self.info = GuardInfo(name=f"column{at}", revision="1", sees="both", threshold=threshold)
        self.at, self.cost = at, cost

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        scores = [float(each.prompt.split()[self.at]) for each in exchanges]
        return [
            Verdict(
                outcome=Outcome.UNSAFE if score >= self.info.threshold else Outcome.SAFE,
                score=score,
                cost_usd=self.cost,
            )
            for score in scores
        ]


CHEAP, EXPENSIVE = Column(0, 0.6, 0.001), Column(1, 0.4, 0.1)


def rows(n: int = 200) -> Rows:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, n)
    cheap = np.clip(rng.normal(0.5 + 0.2 * labels, 0.2), 0, 1)
    expensive = np.clip(rng.normal(0.2 + 0.4 * labels, 0.15), 0, 1)
    items = [
        Labelled(id=str(i), exchange=Exchange.of(f"{a:.4f} {b:.4f}"), unsafe=bool(label))
        for i, (a, b, label) in enumerate(zip(cheap, expensive, labels, strict=True))
    ]
    return Rows("x", "y", tuple(items))


@pytest.fixture(scope="module")
def found() -> Bench:
    guards = {"a": CHEAP, "b": EXPENSIVE}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "load", lambda spec, policy=None: guards[spec])
        settings = Settings(resamples=50, robust=0, cascade=True)
        return anyio.run(bench, list(guards), rows(), load_policy(), settings, Log())


def test_it_runs_from_the_cheap_guard_alone_to_the_expensive_one_alone(found: Bench) -> None:
    (curve,) = found.cascades
    assert (curve.cheap, curve.expensive, curve.rows) == ("a", "b", 200)
    shares = [step.escalated for step in curve.steps]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    for step, guard in ((curve.steps[0], found.guards[0]), (curve.steps[-1], found.guards[1])):
        for name, each in step.measures.items():
            assert each.value == pytest.approx(guard.measures[name].value), name


def test_each_band_gives_what_the_cascade_guard_gives_with_it(found: Bench) -> None:
    exchanges = [row.exchange for row in rows().items]
    labels = np.array([row.unsafe for row in rows().items])
    for step in found.cascades[0].steps[1:-1]:
        assert step.low is not None
        assert step.high is not None
        guard = Cascade(parts.part(CHEAP), parts.part(EXPENSIVE), step.low, step.high)
        verdicts = anyio.run(guard.judge, exchanges)
        flags = np.array([verdict.outcome is Outcome.UNSAFE for verdict in verdicts])
        assert step.measures["accuracy"].value == pytest.approx((flags == labels).mean())
        asked = np.array([verdict.cost_usd is not None and verdict.cost_usd > 0.05 for verdict in verdicts])
        assert step.escalated == pytest.approx(asked.mean())


def test_cost_and_time_grow_with_the_share(found: Bench) -> None:
    steps = found.cascades[0].steps
    assert [step.cost_usd for step in steps] == pytest.approx([0.001 + 0.1 * step.escalated for step in steps])
    times = [step.seconds or 0 for step in steps]
    assert times == sorted(times)


def test_there_is_none_unless_it_is_asked_for_nor_of_one_guard() -> None:
    for specs, cascade in ((["rules", "embedded"], False), (["rules"], True)):
        settings = Settings(resamples=0, robust=0, cascade=cascade)
        few = Rows("x", "y", rows(4).items)
        assert anyio.run(bench, specs, few, load_policy(), settings, Log()).cascades == ()
