"""How strongly adapters act is set by the benign prompts they make the model refuse."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from harmless.align.examples import Example
from harmless.core import Expect, user

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("peft", reason="needs peft (extra align)")

from harmless.align import strength  # noqa: E402
from harmless.align.frontier import Frontier, held_back, separation  # noqa: E402
from harmless.align.lora import parameters, trainable  # noqa: E402
from harmless.align.settings import Tuning  # noqa: E402
from harmless.internals.model import LocalModel, load  # noqa: E402
from tests.tiny import saved  # noqa: E402

TUNING = Tuning(loss="simpo", rank=4)
BENIGN = [Example(conversation=user(str(i)), good="Yes", expect=Expect.ANSWER) for i in range(10)]


@pytest.fixture
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    local = trainable(load(str(saved(tmp_path_factory.mktemp("tiny"))), "cpu"), TUNING)
    for name, each in parameters(local).items():
        torch.nn.init.constant_(each, 1.0 if ".lora_B." in name else 0.5)
    return local


def scales(local: LocalModel) -> set[tuple[str, float]]:
    return {(name.split(".")[-3], round(float(each.mean()), 4)) for name, each in parameters(local).items()}


@pytest.mark.parametrize(("limit", "expected"), [(1.2, 1.1875), (0.8, 0.78125), (0.1, 0.5), (9.0, 1.46875)])
def test_the_greatest_tolerated_strength_is_taken(
    local: LocalModel, monkeypatch: pytest.MonkeyPatch, limit: float, expected: float
) -> None:
    async def measure(model: LocalModel, examples: Sequence[Example]) -> Frontier:
        """Refuse three of ten benign prompts where the adapters act more strongly than ``limit``."""
        acts = max(value for name, value in scales(model) if name == "lora_B")
        return Frontier(refused=0, harmful=0, over_refused=3 if acts > limit else 2, benign=len(examples))

    monkeypatch.setattr(strength, "measure", measure)
    assert anyio.run(strength.set_strength, local, BENIGN, 0.2) == pytest.approx(expected)
    assert scales(local) == {("lora_A", 0.5), ("lora_B", round(expected, 4))}


def test_separation_counts_pairs_of_prompts_in_the_right_order(local: LocalModel) -> None:
    harmful = Example(conversation=user("a"), good="No", bad="Yes", expect=Expect.REFUSE)
    benign = Example(conversation=user("a"), good="Yes", bad="No", expect=Expect.ANSWER)
    held = held_back(local, [harmful, benign], TUNING)
    assert held is not None
    # The same prompt leans to a refusal as much as itself.
    assert anyio.run(separation, local, held).score == 0.5
    assert held_back(local, BENIGN, TUNING) is None
