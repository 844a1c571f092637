"""The guard that reads a local model's hidden states, and its training."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import numpy as np
import pytest

from harmless.core import Exchange, Message, Outcome, user
from harmless.errors import BadFileError, UsageError
from harmless.guards import load
from tests.tiny import saved

pytestmark = pytest.mark.hf
pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("transformers", reason="needs transformers (extra hf)")
pytest.importorskip("sklearn", reason="needs scikit-learn (extra train)")

from harmless.guards.probe import ProbeGuard  # noqa: E402
from harmless.guards.train.prompt import PromptRows  # noqa: E402
from harmless.guards.train.rows import Row, Rows  # noqa: E402
from harmless.internals.chat import encode  # noqa: E402
from harmless.internals.hidden import states  # noqa: E402
from harmless.internals.model import load as load_model  # noqa: E402
from harmless.internals.probe import fit  # noqa: E402

HARMFUL = [f"XX {i} bad" for i in range(12)]
BENIGN = [f"oo {i} good" for i in range(12)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny model in ``model`` and a probe for it."""
    place = tmp_path_factory.mktemp("probe")
    local = load_model(str(saved(place / "model")))
    seen = states(local, [encode(local, user(text)) for text in HARMFUL + BENIGN], [1], pool="both")
    labels = np.array([True] * 12 + [False] * 12)
    fit(seen[:, 0], labels, layer=1, pool="both", model=local.revision).save(place / "probe.npz")
    about = {
        "model": str(place / "model"),
        "calibration": [1.0, 0.0],
        "threshold": 0.5,
        "licence": "Apache-2.0",
    }
    (place / "probe.json").write_text(json.dumps(about))
    return place


def judged(guard: ProbeGuard, *exchanges: Exchange) -> list[Outcome]:
    return [verdict.outcome for verdict in anyio.run(guard.judge, exchanges)]


def test_it_tells_apart_what_the_model_tells_apart(folder: Path) -> None:
    guard = load(f"probe({folder})")
    verdicts = anyio.run(guard.judge, [Exchange.of(text) for text in ("XX 77 bad", "oo 77 good")])
    assert [verdict.outcome for verdict in verdicts] == [Outcome.UNSAFE, Outcome.SAFE]
    assert verdicts[0].score > 0.5 > verdicts[1].score
    assert [finding.rule for finding in verdicts[0].findings] == ["probe"]
    assert guard.info.name == "probe(model)"
    assert anyio.run(guard.judge, []) == []


def test_the_conversation_counts_and_the_reply_does_not(folder: Path) -> None:
    guard = load(f"probe({folder})")
    alone, replied = anyio.run(guard.judge, [Exchange.of("oo 3 good"), Exchange.of("oo 3 good", "XX bad")])
    assert alone.score == pytest.approx(replied.score, abs=1e-6)
    turns = (*user("XX bad"), Message(role="assistant", content="XX"), *user("oo 3 good"))
    (within,) = anyio.run(guard.judge, [Exchange(conversation=turns)])
    assert within.score != pytest.approx(alone.score, abs=1e-3)


def test_what_the_model_cannot_read_is_unassessed_and_costs_only_itself(folder: Path) -> None:
    guard = load(f"probe({folder})")
    assert judged(guard, Exchange.of("XX 1 bad"), Exchange.of("x" * 500), Exchange(conversation=())) == [
        Outcome.UNSAFE,
        Outcome.UNASSESSED,
        Outcome.UNASSESSED,
    ]


def test_a_probe_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    other = saved(tmp_path / "other", seed=2)
    with pytest.raises(UsageError, match="another model"):
        load(f"probe({folder}, {other})")


def test_a_folder_without_a_whole_probe(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="no probe"):
        load(f"probe({tmp_path})")
    (tmp_path / "probe.npz").write_bytes((folder / "probe.npz").read_bytes())
    with pytest.raises(BadFileError, match="does not describe a probe"):
        load(f"probe({tmp_path})")


def test_training_writes_what_the_guard_reads(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harmless.guards.train import own, probe, prompt

    rows = [Row(f"XX {i} bad", unsafe=True, source=own.PAIRS, goal=str(i)) for i in range(120)]
    rows += [Row(f"oo {i} good", unsafe=False, source=own.PAIRS, goal=str(i)) for i in range(120)]
    rows += [Row(f"XX {i} wild", unsafe=True, source="WildGuard train") for i in range(30)]
    rows += [Row(f"oo {i} wild", unsafe=False, source="WildGuard train") for i in range(30)]
    rows += [Row(f"oo plain {i}", unsafe=False, source=own.ORDINARY) for i in range(60)]
    data = PromptRows(
        rows, np.array([int(bool(row.unsafe)) for row in rows]), np.ones(len(rows)), np.arange(len(rows))
    )
    monkeypatch.setattr(probe, "load", lambda data: Rows())
    monkeypatch.setattr(prompt, "collect", lambda rows, rng, suites: data)
    report = probe.train_probe(tmp_path / "out", str(folder / "model"), seeds=(0, 1))
    assert report.rows == {own.PAIRS: 240, own.ORDINARY: 60, "WildGuard train": 60}
    assert min(report.metrics["auroc_pairs"]) > 0.95
    assert judged(
        load(f"probe({tmp_path / 'out'})"), Exchange.of("XX 500 bad"), Exchange.of("oo 500 good")
    ) == [
        Outcome.UNSAFE,
        Outcome.SAFE,
    ]
