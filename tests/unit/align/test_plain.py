"""What a model writes when it is asked nothing is held while it is trained."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from harmless.align.examples import Example
from harmless.core import Expect, user

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("peft", reason="needs peft (extra align)")

from harmless.align.encoding import encoded  # noqa: E402
from harmless.align.lora import parameters, trainable  # noqa: E402
from harmless.align.plain import LENGTH, Plain, written  # noqa: E402
from harmless.align.settings import Tuning  # noqa: E402
from harmless.align.trainer import Report, Training  # noqa: E402
from harmless.internals.model import LocalModel, load  # noqa: E402
from tests.tiny import saved  # noqa: E402

TUNING = Tuning(loss="sft", rank=4, batch=1, rate=1e-2, epochs=20.0)
EXAMPLES = [Example(conversation=user("a"), good="No", bad="Yes", expect=Expect.REFUSE)]


def opened(tmp_path: Path) -> LocalModel:
    folder = tmp_path / "base"
    return load(str(folder if folder.is_dir() else saved(folder)), "cpu")


def stir(local: LocalModel) -> None:
    """Give the adapters values, as training does."""
    torch.manual_seed(1)
    with torch.no_grad():
        for each in parameters(local).values():
            each.add_(torch.randn_like(each) * 0.1)


def test_texts_follow_from_the_seed_and_disturb_nobody(tmp_path: Path) -> None:
    local = opened(tmp_path)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    texts = written(local, 0, count=5, length=9)
    assert torch.rand(1) == expected
    assert [len(text) for text in texts] == [9] * 5
    assert texts == written(local, 0, count=5, length=9)
    assert texts != written(local, 1, count=5, length=9)


@pytest.mark.parametrize("frozen", [0.0, 0.5])
def test_divergence_is_none_before_training_and_that_of_all_next_tokens_then(
    tmp_path: Path, frozen: float
) -> None:
    tuning = TUNING.model_copy(update={"frozen": frozen})
    local = trainable(opened(tmp_path), tuning)
    plain = Plain(local, 1 if frozen else 0, tmp_path / "plain.json", 0)
    assert float(plain.divergence(0).detach()) == pytest.approx(0, abs=1e-6)
    stir(local)
    found = plain.divergence(0)
    texts = torch.tensor(written(opened(tmp_path), 0)[:2])
    with torch.no_grad():
        now = torch.log_softmax(local.model(texts).logits[:, :-1].float(), -1)
        with local.model.disable_adapter():
            before = torch.log_softmax(local.model(texts).logits[:, :-1].float(), -1)
    expected = (before.exp() * (before - now)).sum() / (2 * (LENGTH - 1))
    assert float(expected) > 0.001
    assert float(found.detach()) == pytest.approx(float(expected), rel=1e-3)
    found.backward()
    assert any(each.grad is not None and each.grad.abs().max() > 0 for each in parameters(local).values())


def test_a_training_that_goes_on_reads_the_texts_of_the_model_before(tmp_path: Path) -> None:
    local = trainable(opened(tmp_path), TUNING)
    path = tmp_path / "plain.json"
    Plain(local, 0, path, 0)
    kept = path.read_bytes()
    stir(local)
    again = Plain(local, 0, path, 0)
    assert path.read_bytes() == kept
    assert float(again.divergence(0).detach()) > 0.001


def test_training_moves_plain_text_less_where_it_is_held(tmp_path: Path) -> None:
    def moved(weight: float) -> tuple[float, list[Report]]:
        tuning = TUNING.model_copy(update={"plain": weight})
        local = trainable(opened(tmp_path), tuning)
        data = encoded(local, EXAMPLES, tuning)
        seen: list[Report] = []

        def observe(known: object) -> None:
            if isinstance(known, Report):
                seen.append(known)

        folder = tmp_path / f"training-{weight}"
        anyio.run(Training(local, data, [], tuning, folder, "key").run, observe)
        plain = Plain(local, 0, next(tmp_path.glob("training-*/plain-*.json")), 0)
        with torch.no_grad():
            return float(sum(plain.divergence(step) for step in range(5))), seen

    held, reports = moved(10.0)
    free, silent = moved(0.0)
    assert held < free / 3
    assert all("moved" in each.figures for each in reports)
    assert not any("moved" in each.figures for each in silent)
