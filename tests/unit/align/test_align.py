"""Aligning a tiny model with random weights, end to end: train, resume, stop, serve."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from harmless.align.examples import Example, write_examples
from harmless.align.gather import Gathering
from harmless.align.methods import method, methods
from harmless.core import Expect, user

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("peft", reason="needs peft (extra align)")

from harmless.align import checkpoint, upper  # noqa: E402
from harmless.align.encoding import encoded  # noqa: E402
from harmless.align.lora import parameters, trainable  # noqa: E402
from harmless.align.run import Alignment, align, configuration, opened, read_manifest, write_model  # noqa: E402
from harmless.align.settings import Tuning  # noqa: E402
from harmless.align.trainer import Report, Training, TrainingFailedError  # noqa: E402
from harmless.errors import UsageError  # noqa: E402
from harmless.internals.model import LocalModel, load  # noqa: E402
from tests.tiny import saved  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("tiny"), kind="mistral")


def examples(count: int = 12) -> list[Example]:
    rng = random.Random(0)
    found = []
    for i in range(count):
        text = "".join(rng.choices("abcdefgh", k=6))
        refuse = bool(i % 2)
        found.append(
            Example(
                conversation=user(text),
                good="No." if refuse else "Yes",
                bad="Yes" if refuse else "No.",
                expect=Expect.REFUSE if refuse else Expect.ANSWER,
                licence="CC0-1.0",
            )
        )
    return found


def training(folder: Path, out: Path, **changes: Any) -> Training:
    tuning = Tuning(**{"batch": 4, "epochs": 4, "rank": 4, "rate": 1e-2, **changes})
    local = load(str(folder), "cpu")
    data = encoded(local, examples(), tuning)
    return Training(trainable(local, tuning), data, (), tuning, out, tuning.key("data", "base"))


def weights(local: LocalModel) -> np.ndarray[Any, Any]:
    return torch.cat([each.detach().flatten() for each in parameters(local).values()]).numpy()


def trained(what: Training) -> tuple[list[Report], np.ndarray[Any, Any]]:
    reports: list[Report] = []
    anyio.run(what.run, lambda known: reports.append(known))
    return reports, weights(what.local)


@pytest.mark.parametrize("name", sorted({each.settings["loss"] for each in methods().values()}))
def test_every_loss_falls_and_prefers_the_good_reply(name: str, folder: Path, tmp_path: Path) -> None:
    what = training(folder, tmp_path, **method(name).settings, epochs=10)
    first = upper.reference(what.local, what.data.trees)
    reports, _ = trained(what)
    last = upper.reference(what.local, what.data.trees)
    assert reports[-1].loss < reports[0].loss
    gains = [b[0] - a[0] for a, b in zip(first, last, strict=True)]
    assert np.mean(gains) > 0
    if name != "sft":
        margins = [(b[0] - b[1]) - (a[0] - a[1]) for a, b in zip(first, last, strict=True)]
        assert np.mean(margins) > 0


def test_upper_layers_are_trained_alone_as_they_are_in_the_whole_model(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"loss": "dpo", "frozen": 0.5, "rate": 1e-3}
    _, found = trained(training(folder, tmp_path / "alone", **changes))
    monkeypatch.setattr("harmless.align.trainer._upper", lambda training, asked: None)
    _, expected = trained(training(folder, tmp_path / "whole", **changes))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_training_that_was_cut_off_ends_with_the_same_weights(
    kind: str, folder: Path, tmp_path: Path
) -> None:
    changes = {"loss": "dpo", "weights": kind, "rate": 1e-3}
    _, expected = trained(training(folder, tmp_path / "whole", **changes))

    cut = training(folder, tmp_path / "cut", **changes)
    loop_steps = 5

    def stop(known: Any) -> None:
        if known.step == loop_steps:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harmless.align.trainer.EVERY_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            anyio.run(cut.run, stop)
    reports, found = trained(training(folder, tmp_path / "cut", **changes))
    assert reports[0].step == loop_steps + 1
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_another_training_does_not_go_on_from_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    trained(training(folder, tmp_path, epochs=1))
    with pytest.raises(UsageError, match="other settings"):
        trained(training(folder, tmp_path, epochs=2))


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_checkpoint(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = training(folder, tmp_path)
    monkeypatch.setattr("harmless.align.trainer.EVERY_S", 0.0)

    def spoil(known: Report) -> None:
        if known.step == 3:
            with torch.no_grad():
                next(iter(parameters(what.local).values())).fill_(float("nan"))

    with pytest.raises(TrainingFailedError, match="not a number at step 4"):
        anyio.run(what.run, spoil)
    fresh = training(folder, tmp_path)
    optimiser = torch.optim.AdamW(parameters(fresh.local).values())
    progress = checkpoint.restore(tmp_path / "checkpoint", fresh.local, optimiser, fresh.key)
    assert progress is not None
    assert progress.step == 3
    assert np.isfinite(weights(fresh.local)).all()


def test_a_gradient_that_is_not_a_number_stops_before_the_step(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = training(folder, tmp_path)
    monkeypatch.setattr("harmless.align.trainer.EVERY_S", 0.0)
    spoilt = next(iter(parameters(what.local).values()))

    def spoil(known: Report) -> None:
        if known.step == 3:
            spoilt.register_hook(lambda gradient: gradient * float("nan"))

    with pytest.raises(TrainingFailedError, match="gradient is not a number at step 4"):
        anyio.run(what.run, spoil)
    assert np.isfinite(weights(what.local)).all()
    fresh = training(folder, tmp_path)
    optimiser = torch.optim.AdamW(parameters(fresh.local).values())
    progress = checkpoint.restore(tmp_path / "checkpoint", fresh.local, optimiser, fresh.key)
    assert progress is not None
    assert progress.step == 3
    assert np.isfinite(weights(fresh.local)).all()


@pytest.mark.parametrize(
    "place",
    [
        "harmless.align.network.distributions",
        "harmless.align.before.pack",
        "harmless.align.trainer.descend",
        "harmless.align.trainer.measure",
    ],
)
def test_too_little_memory_is_said_with_advice(
    place: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr(place, full)
    with pytest.raises(TrainingFailedError, match="memory is too small") as error:
        trained(replace(training(folder, tmp_path), development=examples(2)))
    assert "--batch" in error.value.next_step


def test_minutes_limit_the_steps(folder: Path, tmp_path: Path) -> None:
    reports, _ = trained(training(folder, tmp_path, epochs=1000, minutes=0.02))
    assert 1 <= len(reports) < 1000


def test_layers_that_are_frozen_get_no_adapter(folder: Path) -> None:
    local = trainable(load(str(folder), "cpu"), Tuning(frozen=0.5))
    assert {name.split(".layers.")[1][0] for name in parameters(local)} == {"1"}


def test_align_leaves_a_folder_that_is_a_target(folder: Path, tmp_path: Path) -> None:
    data = write_examples(tmp_path / "mine.jsonl", examples(40))
    out = tmp_path / "aligned"
    tuning = method("dpo").tuning(epochs=2, rank=4, rate=1e-2)
    gathering = Gathering(sources=(str(data),), bad=True, screened=False)
    what = Alignment(f"hf:{folder}", "dpo", gathering, tuning, out)
    done = anyio.run(align, what, opened(what.spec, tuning))
    manifest = read_manifest(out)
    assert manifest == json.loads(json.dumps(done.manifest))
    assert manifest["data"]["licences"] == {"CC0-1.0": 40}
    assert {"adapter.gguf", "adapter_model.safetensors", "adapter_config.json"} <= set(manifest["files"])
    assert not (out / "training").exists()
    served = load(str(out), "cpu")
    assert served.revision != load(str(folder), "cpu").revision
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == str(folder)


@pytest.mark.parametrize(("expect", "missing"), [(Expect.REFUSE, "benign"), (Expect.ANSWER, "harmful")])
def test_one_kind_of_prompts_alone_is_not_trained_on(
    expect: Expect, missing: str, folder: Path, tmp_path: Path
) -> None:
    data = write_examples(tmp_path / "mine.jsonl", [each for each in examples(40) if each.expect is expect])
    tuning = method("sft").tuning(epochs=1)
    what = Alignment(
        f"hf:{folder}", "sft", Gathering(sources=(str(data),), screened=False), tuning, tmp_path / "out"
    )
    with pytest.raises(UsageError, match=f"no {missing} prompts") as caught:
        anyio.run(align, what, opened(what.spec, tuning))
    assert "--data ... pairs" in caught.value.next_step


def test_what_was_left_out_is_told(folder: Path, tmp_path: Path) -> None:
    rows = examples(40)
    data = write_examples(tmp_path / "mine.jsonl", [*rows, rows[0], rows[1]])
    tuning = method("sft").tuning(epochs=1)
    what = Alignment(
        f"hf:{folder}", "sft", Gathering(sources=(str(data),), screened=False), tuning, tmp_path / "out"
    )
    told: list[str] = []
    done = anyio.run(align, what, opened(what.spec, tuning), None, lambda step, _: told.append(step))
    assert done.manifest["data"]["left_out"] == {"the same prompt again": 2}
    assert any(step.endswith("left out: 2 the same prompt again") for step in told)


def logits(local: LocalModel) -> Any:
    tokens = torch.tensor([list(range(20))], device=local.device)
    with torch.inference_mode():
        return local.model(tokens).logits


def aligned_again(spec: str, out: Path, data: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Any:
    """Align what a spec names, and return the logits of the trained model."""
    seen: list[Any] = []

    def writing(spec: str, tuning: Tuning, folder: Path, local: LocalModel) -> list[str]:
        seen.append(logits(local))
        return write_model(spec, tuning, folder, local)

    monkeypatch.setattr("harmless.align.run.write_model", writing)
    tuning = method("dpo").tuning(epochs=2, rate=1e-2, **changes)
    what = Alignment(spec, "dpo", Gathering(sources=(str(data),), bad=True, screened=False), tuning, out)
    anyio.run(align, what, opened(spec, tuning))
    return seen[-1]


def test_an_aligned_model_is_aligned_further_and_served_as_it_was_trained(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_examples(tmp_path / "mine.jsonl", examples(40))
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    aligned_again(f"hf:{folder}", first, data, monkeypatch, rank=4)
    before = logits(load(str(first), "cpu"))
    # With other layers, rank and scale than the first adapter's.
    trained = aligned_again(f"hf:{first}", second, data, monkeypatch, rank=2, alpha=10, frozen=0.0)
    served = load(str(second), "cpu")
    torch.testing.assert_close(logits(served), trained, atol=1e-4, rtol=1e-4)
    assert (trained - before).abs().max() > 0.01
    assert configuration(f"hf:{second}").model_type == "mistral"
    assert "adapter.gguf" in read_manifest(second)["files"]
    settings = json.loads((second / "adapter_config.json").read_text())
    assert (settings["r"], settings["base_model_name_or_path"]) == (6, str(folder))

    whole = aligned_again(f"hf:{second}", third, data, monkeypatch, weights="full")
    assert not (third / "adapter_config.json").exists()
    torch.testing.assert_close(logits(load(str(third), "cpu")), whole, atol=1e-4, rtol=1e-4)


def test_an_adapter_that_cannot_be_kept_is_said_before_training(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_examples(tmp_path / "mine.jsonl", examples(40))
    first = tmp_path / "first"
    aligned_again(f"hf:{folder}", first, data, monkeypatch, rank=4)
    with pytest.raises(UsageError, match="merged into 4 bits"):
        opened(f"hf:{first}", Tuning(weights="qlora"))
    config = first / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"use_rslora": True}))
    with pytest.raises(UsageError, match="no plain LoRA adapter"):
        opened(f"hf:{first}", Tuning())
