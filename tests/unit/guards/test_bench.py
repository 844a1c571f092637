"""Benchmarks: measures as scikit-learn has them, the unassessed apart, nothing asked twice, caveats."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from harmless.check.policy import load_policy
from harmless.core import Exchange, GuardInfo, GuardRule, Outcome, Policy, Verdict
from harmless.data import Labelled
from harmless.errors import UnknownNameError, UnreachableError, UsageError
from harmless.guards import registry
from harmless.guards.bench import Bench, GuardResult, Log, Rows, Settings, bench, load_rows
from harmless.guards.bench.asking import NOT_ASKED, SINGLES, Call, ask, effort
from harmless.guards.bench.caveats import notes, trained_guards
from harmless.guards.bench.memory import Peak
from harmless.guards.bench.model import Counts
from harmless.stats.detection import NAMES

QUICK = Settings(resamples=200, robust=0)


class Scored:
    """Reads the score from the text, ``... 0.7``; ``broken`` in it cannot be judged."""

    def __init__(self, name: str = "scored", sees: Any = "both", cost: float | None = None) -> None:
        self.info = GuardInfo(name=name, revision="1", sees=sees, batch_size=16)
        self.cost = cost
        self.batches: list[int] = []

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        self.batches.append(len(exchanges))
        return [self._verdict(e.prompt if e.reply is None else e.reply) for e in exchanges]

    def _verdict(self, text: str) -> Verdict:
        if "broken" in text:
            return Verdict.unassessed("broken text")
        score = float(text.split()[-1])
        outcome = Outcome.UNSAFE if score >= 0.5 else Outcome.SAFE
        return Verdict(outcome=outcome, score=score, cost_usd=self.cost)


def row(i: int, text: str, unsafe: bool, **more: Any) -> Labelled:
    reply = more.pop("reply", None)
    return Labelled(id=f"r{i}", exchange=Exchange.of(text, reply), unsafe=unsafe, **more)


def scored_rows(n: int = 120, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    scores = np.round(np.clip(rng.normal(0.35 + 0.3 * labels, 0.2), 0, 1), 2)
    items = [
        row(i, f"text {i} {score}", bool(label), source="ab"[i % 2], hazard="salad.c.O57" if i % 3 else None)
        for i, (score, label) in enumerate(zip(scores.tolist(), labels.tolist(), strict=True))
    ]
    return Rows("made up", "here", tuple(items))


def run(
    monkeypatch: pytest.MonkeyPatch,
    guards: dict[str, Any],
    rows: Rows,
    settings: Settings = QUICK,
    log: Log | None = None,
    policy: Policy | None = None,
) -> Bench:
    def load(spec: str, policy: Policy | None = None) -> Any:
        if isinstance(guards[spec], Exception):
            raise guards[spec]
        return guards[spec]

    monkeypatch.setattr(registry, "load", load)
    return anyio.run(bench, list(guards), rows, policy or load_policy(), settings, log or Log())


def test_measures_are_those_of_sklearn(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle")
    rows = scored_rows()
    (result,) = run(monkeypatch, {"a": Scored()}, rows).guards
    labels = [bool(r.unsafe) for r in rows.items]
    scores = [float(r.text.split()[-1]) for r in rows.items]
    flags = [score >= 0.5 for score in scores]
    value = {name: estimate.value for name, estimate in result.measures.items()}
    assert tuple(value) == NAMES
    assert value["f1"] == pytest.approx(metrics.f1_score(labels, flags))
    assert value["auroc"] == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert value["auprc"] == pytest.approx(metrics.average_precision_score(labels, scores))
    tn, fp, fn, tp = metrics.confusion_matrix(labels, flags).ravel()
    assert result.counts == Counts(
        unsafe=fn + tp, safe=tn + fp, true_positive=tp, false_positive=fp, true_negative=tn, false_negative=fn
    )


def test_every_estimate_lies_in_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = run(monkeypatch, {"a": Scored()}, scored_rows()).guards
    for name, each in result.measures.items():
        assert each.value is not None, name
        assert each.low is not None, name
        assert each.high is not None, name
        # Calibration errors are biased upwards in resamples, so their interval may lie above the value.
        assert each.low - (0.1 if name == "ece" else 1e-12) <= each.value <= each.high + 1e-12, name
        assert each.worst == each.best == each.value, name


def test_the_curve_rises_from_corner_to_corner_and_holds_the_auroc(monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = run(monkeypatch, {"a": Scored()}, scored_rows()).guards
    x, y = np.array(result.curve).T
    assert (result.curve[0], result.curve[-1]) == ((0, 0), (1, 1))
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    assert np.trapezoid(y, x) == pytest.approx(result.measures["auroc"].value, abs=1e-3)
    assert sum(each.rows for each in result.reliability) == result.counts.rows


def test_rows_that_share_an_origin_widen_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = scored_rows(60)
    copies = tuple(
        r.model_copy(update={"id": f"{r.id}-{i}", "cluster": r.id}) for r in rows.items for i in range(5)
    )
    (once,) = run(monkeypatch, {"a": Scored()}, rows).guards
    (often,) = run(monkeypatch, {"a": Scored()}, Rows("x", "y", copies)).guards
    for name in ("accuracy", "auroc"):
        a, b = once.measures[name], often.measures[name]
        assert a.high is not None
        assert a.low is not None
        assert b.high is not None
        assert b.low is not None
        assert b.high - b.low == pytest.approx(a.high - a.low, rel=0.25)


def test_what_is_unassessed_is_neither_safe_nor_unsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = scored_rows(100)
    broken = tuple(row(1000 + i, f"broken {i}", bool(i % 2)) for i in range(10))
    (whole,) = run(monkeypatch, {"a": Scored()}, rows).guards
    found = run(monkeypatch, {"a": Scored()}, Rows("x", "y", rows.items + broken))
    (result,) = found.guards
    assert result.counts.unassessed == 10
    assert result.counts.rows == 110
    assert result.causes == {"broken text": 10}
    assert any("10 of 110 rows unassessed" in note for note in found.notes)
    for name in ("recall", "precision", "f1", "accuracy", "auroc", "brier"):
        each = result.measures[name]
        assert each.value == whole.measures[name].value
        assert each.worst is not None
        assert each.best is not None
        assert each.value is not None
        worst, best = (each.best, each.worst) if name == "brier" else (each.worst, each.best)
        assert worst < each.value < best, name
    assert result.measures["ece"].worst is None
    accuracy = result.measures["accuracy"]
    right = (accuracy.value or 0) * 100
    assert (accuracy.worst, accuracy.best) == (pytest.approx(right / 110), pytest.approx((right + 10) / 110))


def test_one_label_alone_leaves_what_needs_both_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows("x", "y", tuple(r for r in scored_rows().items if not r.unsafe))
    found = run(monkeypatch, {"a": Scored()}, rows)
    measures = found.guards[0].measures
    assert measures["fpr"].value is not None
    assert measures["fpr"].low is not None
    assert measures["auroc"].value is measures["recall"].value is measures["auroc"].low is None
    assert any("All rows are safe" in note for note in found.notes)


def test_few_origins_give_no_bootstrap_interval_but_one_for_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = run(monkeypatch, {"a": Scored()}, scored_rows(12)).guards
    assert result.measures["auroc"].value is not None
    assert result.measures["auroc"].low is None
    assert result.measures["accuracy"].low is not None


def test_hazards_are_at_all_levels_and_sources_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = run(monkeypatch, {"a": Scored()}, scored_rows(121)).guards
    assert [(each.key, each.level) for each in result.hazards] == [
        ("salad.d.O5", "domain"),
        ("salad.t.O14", "task"),
        ("salad.c.O57", "category"),
    ]
    assert [(each.key, each.counts.rows) for each in result.sources] == [("a", 61), ("b", 60)]


def test_hazards_may_be_those_of_another_taxonomy(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = QUICK.model_copy(update={"taxonomy": "llama_guard_3"})
    (result,) = run(monkeypatch, {"a": Scored()}, scored_rows(), settings).guards
    assert [(each.key, each.name, each.level) for each in result.hazards] == [
        ("S2", "Non-Violent Crimes", "code")
    ]


def test_a_guard_is_asked_only_about_what_it_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = scored_rows(30).items
    replies = tuple(row(100 + i, "ask", bool(i % 2), reply=f"text {i} 0.{i}") for i in range(8))
    guards = {"prompts": Scored("p", "prompt"), "replies": Scored("r", "reply"), "both": Scored("b")}
    found = run(monkeypatch, guards, Rows("x", "y", prompts + replies))
    assert [(g.counts.rows, g.unseen) for g in found.guards] == [(30, 8), (8, 30), (38, 0)]
    assert {(p.first, p.second): p.rows for p in found.pairs} == {
        ("prompts", "both"): 30,
        ("replies", "both"): 8,
    }
    only = run(monkeypatch, {"replies": Scored("r", "reply")}, Rows("x", "y", prompts))
    assert only.guards[0].reached
    assert only.notes == ("replies judges a reply only, and no row has one to judge.",)


def test_the_policy_decides_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = load_policy().model_copy(update={"guards": {"scored": GuardRule(threshold=0.9)}})
    rows = scored_rows()
    (usual,) = run(monkeypatch, {"a": Scored()}, rows).guards
    (other,) = run(monkeypatch, {"a": Scored()}, rows, policy=strict).guards
    assert (usual.threshold, other.threshold) == (0.5, 0.9)
    assert (other.measures["recall"].value or 0) < (usual.measures["recall"].value or 0)
    assert other.measures["auroc"].value == usual.measures["auroc"].value


class Skewed(Scored):
    """As scored, but its scores are noisy: it knows less."""

    def _verdict(self, text: str) -> Verdict:
        known = super()._verdict(text)
        if known.score is None:
            return known
        score = (known.score + 3 * math.sin(7 * known.score + len(text))) / 8 + 0.4
        score = min(max(score, 0.0), 1.0)
        return known.model_copy(
            update={"score": score, "outcome": Outcome.UNSAFE if score >= 0.5 else Outcome.SAFE}
        )


def test_pairs_are_tested_on_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    guards = {"good": Scored("good"), "noisy": Skewed("noisy"), "same": Scored("same")}
    found = run(monkeypatch, guards, scored_rows(300))
    noisy, same, _ = found.pairs
    assert (noisy.first, noisy.second, noisy.rows) == ("good", "noisy", 300)
    assert noisy.p_holm <= min(3 * noisy.p, 1.0) + 1e-12
    assert noisy.p_holm < 0.01
    assert noisy.auroc.low is not None
    assert noisy.auroc.low > 0
    assert noisy.p_auroc_holm is not None
    assert noisy.p_auroc_holm < 0.05
    assert (same.only_first, same.only_second, same.p, same.agree, same.kappa) == (0, 0, 1.0, 1.0, 1.0)
    assert same.auroc.value == 0
    assert same.p_auroc == 1.0
    first, second = (found.guards[i].measures["accuracy"].value or 0 for i in (0, 1))
    assert noisy.accuracy.value == pytest.approx(first - second)


def test_rows_in_dispute_come_with_what_each_guard_said(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows("x", "y", (row(0, "a 0.1", True), row(1, "b 0.9", True), row(2, "c 0.7", False)))
    found = run(monkeypatch, {"good": Scored("g"), "noisy": Skewed("n")}, rows)
    by_id = {each.id: each for each in found.contested}
    assert "r0" in by_id
    assert by_id["r0"].said["good"].flagged is False
    assert "good" in by_id["r0"].wrong
    disagree = [each.disagree for each in found.contested]
    assert disagree == sorted(disagree, reverse=True)
    assert "text" not in json.dumps(found.model_dump(mode="json")["contested"])


def test_robustness_compares_the_same_prompts_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(resamples=0, robust=None)
    rows = load_rows("twins").limited(40)
    found = anyio.run(bench, ["rules"], rows, load_policy(), settings, Log())
    kept = {each.transform: each for each in found.guards[0].robustness}
    assert len(kept) == 10
    assert {each.rows for each in kept.values()} == {40}
    assert kept["full_width"].kept.value == 1.0
    assert kept["full_width"].recall.value == kept["full_width"].recall_before
    assert (kept["reversed_words"].recall.value or 0) < (kept["reversed_words"].recall_before or 0)


def test_nothing_is_transformed_for_a_guard_that_sends_text_away_unless_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guard = Scored()
    guard.info = guard.info.model_copy(update={"leaves_machine": True})
    found = run(monkeypatch, {"a": guard}, scored_rows(20), Settings(resamples=0))
    assert found.guards[0].robustness == ()


# Asking


def test_the_first_are_judged_one_at_a_time_and_the_others_in_batches() -> None:
    guard = Scored()
    exchanges = [r.exchange for r in scored_rows(80).items]
    asked = anyio.run(ask, guard, [*exchanges, *exchanges], Log())
    assert guard.batches == [1] * SINGLES + [16, 16, 16, 2]
    assert [v.score for v in asked.verdicts] == [float(e.prompt.split()[-1]) for e in exchanges] * 2
    took = asked.effort
    assert took.first_s is not None
    assert took.single is not None
    assert (took.single.n, took.single.rows) == (SINGLES - 1, 1)
    assert took.batched is not None
    assert (took.batched.n, took.batched.rows) == (3, 16)
    assert took.peak_mb is not None
    assert took.peak_mb >= 0


def test_what_was_judged_is_not_asked_again_but_what_failed_is(tmp_path: Path) -> None:
    path = tmp_path / "out" / "verdicts.jsonl"
    exchanges = [Exchange.of(text) for text in ("a 0.3", "broken", "b 0.8")]
    with Log(path) as log:
        anyio.run(ask, Scored(), exchanges[:2], log)
    with path.open("a") as file:
        file.write('{"cut off')
    again = Scored()
    with Log(path) as log:
        asked = anyio.run(ask, again, exchanges, log)
    assert again.batches == [1, 1]
    assert [v.score for v in asked.verdicts] == [0.3, None, 0.8]
    with Log(path) as log:
        assert log.get(again.info.identity, exchanges[2]) is not None
        assert log.get(Scored("other").info.identity, exchanges[2]) is None


def test_a_log_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text('{"x": 1}\n')
    with pytest.raises(UsageError, match="no log"):
        Log(path)
    with pytest.raises(UsageError, match="Choose another --out"):
        Log(path / "below" / "verdicts.jsonl")


def test_a_guard_that_judges_nothing_is_not_asked_on() -> None:
    guard = Scored()
    exchanges = [Exchange.of(f"broken {i}") for i in range(100)]
    asked = anyio.run(ask, guard, exchanges, Log())
    assert sum(guard.batches) == SINGLES
    assert sum(v.reason == NOT_ASKED for v in asked.verdicts) == 100 - SINGLES


def test_cost_is_the_sum_of_what_is_known() -> None:
    asked = anyio.run(ask, Scored(cost=0.002), [Exchange.of(f"{i} 0.5") for i in range(10)], Log())
    assert asked.effort.cost_usd == pytest.approx(0.02)
    assert asked.effort.cost_per_1000 == pytest.approx(2.0)
    assert anyio.run(ask, Scored(), [Exchange.of("0.5")], Log()).effort.cost_usd is None


def test_the_first_call_of_a_process_counts_for_itself() -> None:
    calls = [Call(1, 9.0, first=True), Call(1, 0.1), Call(1, 0.3), Call(8, 0.4), Call(3, 0.2)]
    found = effort(calls, [])
    assert found.first_s == 9.0
    assert found.single is not None
    assert found.single.p50 == pytest.approx(0.2)
    assert found.batched is not None
    assert (found.batched.rows, found.batched.p50) == (8, 0.4)
    assert found.rows_per_s == pytest.approx(11 / 0.6)


def test_memory_that_is_taken_and_given_back_shows_in_the_peak() -> None:
    peak = Peak()
    held = bytearray(b"x" * (64 << 20))
    del held
    assert peak.risen() > 32
    assert "VmHWM" in peak.how or "getrusage" in peak.how


# What cannot be reached, and what has to be said


def test_a_guard_out_of_reach_is_told_beside_the_results_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dead(Scored):
        async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
            raise OSError("no route")

    guards = {"dead": Dead("dead"), "gone": UnreachableError("No server."), "good": Scored()}
    found = run(monkeypatch, guards, scored_rows())
    assert [each.spec for each in found.unreached] == ["dead", "gone"]
    assert found.guards[2].measures["auroc"].value is not None
    assert found.pairs == ()
    assert [note.partition(":")[0] for note in found.notes] == [
        "dead could not be reached",
        "gone could not be reached",
    ]


def test_an_unknown_guard_is_a_mistake_before_anything_is_asked() -> None:
    with pytest.raises(UnknownNameError):
        anyio.run(bench, ["rules", "ruls"], scored_rows(), load_policy(), QUICK, Log())


def test_training_data_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rows.jsonl.gz"
    file.write_bytes(gzip.compress(b"rows"))
    result = GuardResult(spec="any(rules,embedded)")
    rows = Rows("x", "y", scored_rows(4).items, files=(file, tmp_path / "gone"))
    assert not [note for note in notes([result], rows) if "training data" in note]
    import hashlib

    monkeypatch.setattr("harmless.guards.bench.caveats._digests", lambda: [hashlib.sha256(b"rows").hexdigest()])
    assert [note for note in notes([result], rows) if "training data" in note] == [
        "rows.jsonl.gz is training data of any(rules,embedded): what is measured of it here is optimistic."
    ]
    assert not [note for note in notes([GuardResult(spec="rules")], rows) if "training data" in note]


def test_every_guard_with_weights_that_were_trained_on_files_counts_as_trained() -> None:
    assert trained_guards() == ("embedded", "encoder", "injection", "judge", "profanity", "refusal")


def test_the_files_that_the_shipped_guards_were_trained_on_are_known(shared_data: Path) -> None:
    rows = load_rows(f"collected_labelled={shared_data / 'guard_train.jsonl.gz'}")
    assert [note for note in notes([GuardResult(spec="embedded")], rows) if "training data" in note]
