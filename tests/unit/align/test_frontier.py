"""How a model leans on prompts held back, and the line that it is trained to."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from harmless.align.examples import Example
from harmless.core import Expect, user

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("peft", reason="needs peft (extra align)")

from harmless.align import frontier  # noqa: E402
from harmless.align.encoding import encoded  # noqa: E402
from harmless.align.frontier import Frontier, Leaning, held_back, leaning, measure  # noqa: E402
from harmless.align.lora import trainable  # noqa: E402
from harmless.align.network import log_probabilities  # noqa: E402
from harmless.align.objective import objective  # noqa: E402
from harmless.align.packing import pack  # noqa: E402
from harmless.align.settings import Tuning  # noqa: E402
from harmless.align.trainer import SETTLED, Training  # noqa: E402
from harmless.align.upper import reference  # noqa: E402
from harmless.errors import UnreachableError  # noqa: E402
from harmless.internals.model import LocalModel, load  # noqa: E402
from tests.doubles import FailingRefusal  # noqa: E402
from tests.tiny import saved  # noqa: E402

TUNING = Tuning(loss="simpo", rank=4, batch=2, rate=1e-2)
HARMFUL = Example(conversation=user("a"), good="No", bad="Yes", expect=Expect.REFUSE)
BENIGN = Example(conversation=user("a"), good="Yes", bad="No", expect=Expect.ANSWER)


@pytest.fixture
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(str(saved(tmp_path_factory.mktemp("tiny"))), "cpu")


def test_the_same_prompt_leans_as_much_as_itself(local: LocalModel) -> None:
    held = held_back(local, [HARMFUL, BENIGN], TUNING)
    assert held is not None
    (good, bad), (answer, refusal) = ((each[0], each[1]) for each in reference(local, held.trees))
    assert good - bad == pytest.approx(refusal - answer, abs=1e-4)  # their last digits hang on the processor
    found = anyio.run(leaning, local, held, 0.5)
    assert found.line == pytest.approx(good - bad, abs=1e-4)
    assert found.refused == found.over_refused == float(found.line > 0)


def test_harmful_prompts_above_benign_ones_and_above_the_line_are_counted(
    local: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = held_back(local, [HARMFUL, HARMFUL, BENIGN, BENIGN, BENIGN], TUNING)
    assert held is not None
    replies = [[-1.0, -3.0], [-2.0, -1.0], [-1.0, -4.0], [-2.0, -1.5], [-4.0, -1.0]]  # good, then bad
    monkeypatch.setattr(frontier, "reference", lambda *_: replies)
    found = anyio.run(leaning, local, held, 0.5)
    # Harmful prompts lean by 2 and -1, benign ones by -3, .5 and 3.
    assert (found.refused, found.line) == (0.5, 0.5)
    assert found.over_refused == pytest.approx(2 / 3)
    assert found.auroc == pytest.approx(3 / 6)


def test_without_both_replies_or_both_kinds_nothing_is_held_back(local: LocalModel) -> None:
    alone = Example(conversation=user("a"), good="Yes", expect=Expect.ANSWER)
    assert held_back(local, [alone], TUNING) is None
    assert held_back(local, [BENIGN], TUNING) is None


def test_what_the_guard_cannot_judge_is_neither_refused_nor_answered(
    local: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = iter(["I can't help with that.", "GARBLED", "Boil it for an hour.", "GARBLED"])
    monkeypatch.setattr(frontier, "refusal", FailingRefusal)
    monkeypatch.setattr(
        local.tokenizer, "batch_decode", lambda spoken, **_: [next(replies) for _ in spoken], raising=False
    )
    found = anyio.run(measure, local, [HARMFUL, HARMFUL, BENIGN])
    assert found == Frontier(refused=1, harmful=1, over_refused=0, benign=1, unjudged=1)
    with pytest.raises(UnreachableError, match="None of 1 replies could be judged: ValueError: garbled"):
        anyio.run(measure, local, [HARMFUL])


def test_refusals_count_for_a_model_and_those_beyond_the_tolerated_against_it() -> None:
    assert Leaning(0.8, refused=0.7, over_refused=0.1, line=0.0).score(0.15) == pytest.approx(0.7)
    assert Leaning(0.8, refused=0.9, over_refused=0.25, line=1.0).score(0.15) == pytest.approx(0.6)


@pytest.mark.parametrize("loss", ["simpo", "dpo"])
def test_a_higher_line_asks_less_for_refusals_and_more_for_answers(local: LocalModel, loss: str) -> None:
    tuning = TUNING.model_copy(update={"loss": loss, "nll": 0.0})
    reference = torch.zeros(1, 2)

    def losses(example: Example) -> list[float]:
        batch = pack(encoded(local, [example], tuning).trees)
        with torch.no_grad():
            values = log_probabilities(local, batch)
        return [float(objective(values, batch, reference, tuning, line)[0]) for line in (-1.0, 0.0, 1.0)]

    refused, answered = losses(HARMFUL), losses(BENIGN)
    assert refused == sorted(refused, reverse=True)
    assert refused[0] > refused[2]
    assert answered == sorted(answered)
    assert answered[0] < answered[2]


def test_the_line_follows_what_is_measured_once_training_has_settled(local: LocalModel, tmp_path: Path) -> None:
    tuning = TUNING.model_copy(update={"epochs": 20.0})
    model = trainable(local, tuning)
    held = held_back(local, [HARMFUL, BENIGN], tuning)
    data = encoded(local, [HARMFUL, BENIGN], tuning)
    training = Training(model, data, [HARMFUL, BENIGN], tuning, tmp_path, "key", held)
    progress = anyio.run(training.run)
    settled = [each for each in progress.history if each["step"] >= SETTLED * progress.steps]
    assert len(settled) == len(progress.history) - 1
    assert progress.line == pytest.approx(0.6 * sum(each["line"] for each in settled))
    assert progress.best is not None
    assert progress.best[0] == max(each["score"] for each in settled)
