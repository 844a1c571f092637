"""QLoRA: a base in 4 bits, from the configuration to a model that is served."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from harmless.align.examples import Example, write_examples
from harmless.align.gather import Gathering
from harmless.align.methods import method
from harmless.core import Expect, user
from harmless.errors import MissingExtraError, UsageError
from tests.tiny import saved

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("peft", reason="needs peft (extra align)")

from harmless.align.lora import parameters, trainable  # noqa: E402
from harmless.align.quantised import open_quantised, settings  # noqa: E402
from harmless.align.run import Alignment, align, opened, read_manifest  # noqa: E402
from harmless.align.settings import Tuning  # noqa: E402
from harmless.internals.model import load  # noqa: E402


def test_without_bitsandbytes_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match="qlora"):
        opened("hf:owner/name", Tuning(weights="qlora"))


@pytest.mark.parametrize("device", [None, "gpu", "cuda:0"])
def test_without_a_gpu_it_is_said_what_to_take(device: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="needs a GPU") as caught:
        open_quantised("hf:owner/name", device)
    assert "--weights lora" in caught.value.next_step


@pytest.mark.parametrize("spec", ["embedded", "embedded:model.gguf", "openai:gpt"])
def test_only_models_of_transformers_are_opened_in_4_bits(spec: str) -> None:
    with pytest.raises(UsageError, match="cannot be trained in 4 bits"):
        open_quantised(spec)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_mistral_in_4_bits_is_trained_and_served(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bitsandbytes", minversion="0.46", reason="needs bitsandbytes (extra qlora)")
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    base = saved(tmp_path / "base", kind="mistral")
    rows = [
        Example(
            conversation=user(f"{'harm' if i % 2 else 'work'} {i}"),
            good="No." if i % 2 else "Yes",
            bad="Yes" if i % 2 else "No.",
            expect=Expect.REFUSE if i % 2 else Expect.ANSWER,
            licence="CC0-1.0",
        )
        for i in range(40)
    ]
    data = write_examples(tmp_path / "mine.jsonl", rows)
    tuning = method("dpo").tuning(weights="qlora", epochs=2, rank=4, rate=1e-2)
    gathering = Gathering(sources=(str(data),), bad=True, screened=False)
    what = Alignment(f"hf:{base}", "dpo", gathering, tuning, tmp_path / "aligned", device=device)
    local = opened(what.spec, tuning, device)
    kinds = {type(each).__name__ for each in local.model.modules()}
    assert "Linear4bit" in kinds
    anyio.run(align, what, local)
    manifest = read_manifest(tmp_path / "aligned")
    assert manifest["tuning"]["weights"] == "qlora"
    assert manifest["history"]
    served = load(str(tmp_path / "aligned"), device)
    assert served.revision != load(str(base), device).revision
    assert {"adapter.gguf", "adapter_model.safetensors"} <= set(manifest["files"])


def test_the_base_is_in_normal_floats_quantised_twice_and_only_adapters_are_trained(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", minversion="0.46", reason="needs bitsandbytes (extra qlora)")
    config = settings()["quantization_config"]
    assert (config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == ("nf4", True)
    tuning = Tuning(weights="qlora", rank=4)
    local = trainable(opened(f"hf:{saved(tmp_path / 'base')}", tuning, "cpu"), tuning)
    assert {name.rsplit(".", 2)[0].rsplit(".", 1)[1] for name in parameters(local)} == {"lora_A", "lora_B"}
