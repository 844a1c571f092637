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
from harmless.align.plain import COUNT, LENGTH, STEP, TOGETHER, Plain, written  # noqa: E402
from harmless.align.settings import Tuning  # noqa: E402
from harmless.align.trainer import Report, Training  # noqa: E402
from harmless.align.upper import reference  # noqa: E402
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
    plain = Plain(local, 1 if frozen else 0, 0)
    assert float(plain.divergence(0).detach()) == pytest.approx(0, abs=1e-6)
    stir(local)
    found = plain.divergence(0)
    texts = torch.tensor(written(opened(tmp_path), 0, TOGETHER, LENGTH)[:STEP])
    with torch.no_grad():
        now = torch.log_softmax(local.model(texts).logits[:, :-1].float(), -1)
        with local.model.disable_adapter():
            before = torch.log_softmax(local.model(texts).logits[:, :-1].float(), -1)
    expected = (before.exp() * (before - now)).sum() / (STEP * (LENGTH - 1))
    assert float(expected) > 0.001
    assert float(found.detach()) == pytest.approx(float(expected), rel=1e-3)
    found.backward()
    assert any(each.grad is not None and each.grad.abs().max() > 0 for each in parameters(local).values())


def test_the_texts_are_those_of_the_model_before_whenever_they_are_written(tmp_path: Path) -> None:
    local = trainable(opened(tmp_path), TUNING)
    plain = Plain(local, 0, 0)
    plain.divergence(0)
    stir(local)
    later = Plain(local, 0, 0)  # as in a training that goes on
    assert float(later.divergence(0).detach()) == pytest.approx(float(plain.divergence(0).detach()), rel=1e-5)
    assert float(later.divergence(COUNT).detach()) == pytest.approx(float(later.divergence(0).detach()))
    assert float(later.divergence(TOGETHER).detach()) > 0.001


def test_own_replies_are_held_and_not_imitated(tmp_path: Path) -> None:
    """Imitating makes the reply likelier than it was; holding leaves it where it is."""
    own = Example(conversation=user("b"), good="Yes", bad="No", expect=Expect.ANSWER, own=True)

    def likelier(hold: float) -> float:
        tuning = TUNING.model_copy(update={"hold": hold, "rate": 3e-3})
        local = trainable(opened(tmp_path), tuning)
        data = encoded(local, [*EXAMPLES, own], tuning)
        ((before,),) = reference(local, data.trees[1:])
        anyio.run(Training(local, data, [], tuning, tmp_path / f"own-{hold}", "key").run)
        ((after,),) = reference(local, data.trees[1:])
        return after - before

    imitated, held = likelier(0.0), likelier(10.0)
    assert imitated > 1
    assert abs(held) < imitated / 4


def test_training_moves_plain_text_less_where_it_is_held(tmp_path: Path) -> None:
    def moved(weight: float) -> tuple[float, list[Report]]:
        tuning = TUNING.model_copy(update={"hold": weight})
        local = trainable(opened(tmp_path), tuning)
        data = encoded(local, EXAMPLES, tuning)
        seen: list[Report] = []

        def observe(known: object) -> None:
            if isinstance(known, Report):
                seen.append(known)

        folder = tmp_path / f"training-{weight}"
        anyio.run(Training(local, data, [], tuning, folder, "key").run, observe)
        plain = Plain(local, 0, 0)
        with torch.no_grad():
            return float(sum(plain.divergence(step) for step in range(5))), seen

    held, reports = moved(10.0)
    free, silent = moved(0.0)
    assert held < free / 3
    assert all("moved" in each.figures for each in reports)
    assert not any("moved" in each.figures for each in silent)
