"""An adapter in llama.cpp does what it does in torch, to the log-probability."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import numpy as np
import pytest

from harmless import targets
from harmless.cli import main
from harmless.core import user
from harmless.errors import BadFileError
from harmless.targets import models

pytestmark = [pytest.mark.hf, pytest.mark.model]
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("peft", reason="needs peft (extra align)")

from harmless.align.export import write_adapter, write_merged  # noqa: E402
from harmless.align.lora import parameters, trainable  # noqa: E402
from harmless.align.settings import Tuning  # noqa: E402
from harmless.internals.chat import encode  # noqa: E402
from harmless.internals.model import LocalModel, load  # noqa: E402
from harmless.targets.local import open_model  # noqa: E402
from tests.tiny import saved, saved_gguf  # noqa: E402

ASKED = user("Where does the river begin?")
CONTINUATIONS = ["In the hills behind the old town.", "Sorry, no."]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundled = models.find()
    if bundled is None:
        pytest.skip("needs the bundled model")
    return saved_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf", bundled)


@pytest.fixture(scope="module")
def adapted(base: Path) -> LocalModel:
    """The model with an adapter that turns its replies upside down."""
    local = trainable(load(str(base), "cpu"), Tuning(rank=4))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, each in parameters(local).items():
            spread = 0.3 if "lora_B" in name else 0.1
            each.copy_(torch.randn(each.shape, generator=generator) * spread)
    return local


@pytest.fixture(scope="module")
def folder(base: Path, adapted: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapted")
    adapted.model.peft_config["default"].base_model_name_or_path = str(base)
    adapted.model.save_pretrained(out)
    write_adapter(out, adapted.model.config)
    return out


def by_torch(local: LocalModel, text: str) -> list[float]:
    before = encode(local, ASKED).tokens
    after = local.tokenizer(text, add_special_tokens=False)["input_ids"]
    tokens = torch.tensor([[*before, *after]])
    with torch.inference_mode():
        logits = local.model(tokens).logits[0, len(before) - 1 : -1].log_softmax(-1)
    return logits.gather(1, torch.tensor(after)[:, None])[:, 0].tolist()


def by_llama(spec: str) -> list[list[float]]:
    target = targets.load(spec, targets.TargetOptions(slots=1))
    found = anyio.run(target.log_probability, ASKED, CONTINUATIONS)
    anyio.run(target.aclose)
    return found


def test_the_served_adapter_gives_the_log_probabilities_of_torch(
    base: Path, adapted: LocalModel, folder: Path
) -> None:
    expected = [by_torch(adapted, text) for text in CONTINUATIONS]
    for found, wanted in zip(by_llama(f"embedded:{folder}"), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=0.05)
    plain = by_llama(f"embedded:{base}")
    assert max(abs(a - b) for a, b in zip(plain[0], expected[0], strict=True)) > 1


@pytest.mark.parametrize(("form", "near"), [("f16", 0.05), ("q8_0", 0.5)])
def test_the_merged_model_gives_nearly_the_same(
    form: str, near: float, base: Path, adapted: LocalModel, folder: Path, tmp_path: Path
) -> None:
    path = write_merged(folder, adapted.model.config, base, tmp_path / f"{form}.gguf", form)
    for found, text in zip(by_llama(f"embedded:{path}"), CONTINUATIONS, strict=True):
        assert np.abs(np.subtract(found, by_torch(adapted, text))).mean() < near


def test_rows_of_q_and_k_that_keep_their_places_would_be_noticed(
    adapted: LocalModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harmless.align.export._permuted", lambda name, values, config: values)
    write_adapter(folder, adapted.model.config)
    found = by_llama(f"embedded:{folder}")[0]
    monkeypatch.undo()
    write_adapter(folder, adapted.model.config)
    assert np.abs(np.subtract(found, by_torch(adapted, CONTINUATIONS[0]))).max() > 0.1


def test_a_folder_without_an_adapter_for_llama_says_how_to_write_it(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text((folder / "adapter_config.json").read_text())
    with pytest.raises(BadFileError, match="There is no adapter") as error:
        targets.load(f"embedded:{tmp_path}")
    assert "harmless align export" in error.value.next_step


def test_an_adapter_of_a_base_that_is_not_gguf_is_for_torch(folder: Path, tmp_path: Path) -> None:
    saved(tmp_path / "base")
    for name in ("adapter_config.json", "adapter.gguf"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    config = (tmp_path / "adapter_config.json").read_text()
    named = config.replace('"base_model_name_or_path": "', '"base_model_name_or_path": "OWNER/')
    (tmp_path / "adapter_config.json").write_text(named.replace(".gguf", ""))
    with pytest.raises(BadFileError, match="not a GGUF file"):
        targets.load(f"embedded:{tmp_path}")


def test_a_gguf_model_is_aligned_exported_and_served(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "prompt": f"What is {i}?",
            "good": "Green." if i % 2 else "A number",
            "expect": kind,
            "licence": "CC0-1.0",
        }
        for i, kind in enumerate(["answer", "refuse"] * 10)
    ]
    Path("mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec, options = f"embedded:{base}", ["--method", "sft", "--epochs", "4", "--rate", "0.02", "--rank", "4"]
    for arguments in (
        ["align", spec, "--data", "mine.jsonl", "--out", "aligned", *options],
        ["align", "export", "aligned", "--merged", "f16"],
    ):
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert not exit_.value.code, capsys.readouterr().err
        printed = capsys.readouterr().out
    assert "harmless check embedded:aligned/merged-f16.gguf" in printed
    with pytest.raises(SystemExit):
        main(["align", "export", "aligned"])
    assert capsys.readouterr().out.rstrip().endswith("harmless check embedded:aligned")
    served, merged = by_llama("embedded:aligned"), by_llama("embedded:aligned/merged-f16.gguf")
    np.testing.assert_allclose(served[0], merged[0], atol=0.05)
    np.testing.assert_allclose(served[0], by_torch(open_model("embedded:aligned"), CONTINUATIONS[0]), atol=0.05)
