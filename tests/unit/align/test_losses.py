"""Losses against published values, and against TRL."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")

from harmless.align.losses import Pairs, dpo, kto, orpo, simpo  # noqa: E402
from harmless.align.methods import method  # noqa: E402
from harmless.align.objective import objective  # noqa: E402
from harmless.align.packing import Tree, pack  # noqa: E402


def of(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def pairs(margin: float) -> Pairs:
    return Pairs(of(-4.0 + margin), of(-7.0), of(-4.0), of(-7.0))


@pytest.mark.parametrize(("margin", "loss"), [(0.0, 0.693147), (10.0, 0.313262), (-10.0, 1.313262)])
def test_dpo_has_the_values_of_its_formula(margin: float, loss: float) -> None:
    assert dpo(pairs(margin), beta=0.1).item() == pytest.approx(loss, abs=1e-6)


def test_conservative_dpo_weighs_both_ways_round() -> None:
    loss = dpo(pairs(10.0), beta=0.1, smoothing=0.1).item()
    assert loss == pytest.approx(0.9 * 0.313262 + 0.1 * 1.313262, abs=1e-6)


def test_simpo_has_the_value_of_its_formula() -> None:
    assert simpo(of(-1.0), of(-1.5), beta=2.0, gamma=0.8).item() == pytest.approx(0.598139, abs=1e-6)


def test_orpo_has_the_value_of_its_formula() -> None:
    good, bad = -0.5, -1.0
    odds = math.log(math.exp(good) / (1 - math.exp(good))) - math.log(math.exp(bad) / (1 - math.exp(bad)))
    expected = 2.0 + 0.1 * math.log1p(math.exp(-odds))
    assert orpo(of(-2.0), of(good), of(bad), weight=0.1).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["dpo", "orpo", "simpo"])
def test_what_is_imitated_is_the_whole_good_reply_unless_it_is_the_models_own(name: str) -> None:
    tuning = method(name).tuning()
    good, bad = tuple(range(10, 22)), (50, 51, 52)[: tuning.decision]

    def gradient(*, own: bool) -> list[float]:
        batch = pack([Tree((1, 2), (good, bad), tuning.decision, -1, own)])
        values = torch.full((len(batch.targets),), -1.0, requires_grad=True)
        objective(values, batch, torch.zeros(1, 2), tuning)[0].backward()
        found: list[float] = values.grad.tolist()
        return found

    decided = tuning.decision
    assert all(each < 0 for each in gradient(own=False)[: len(good)])
    assert gradient(own=True)[decided : len(good)] == [0.0] * (len(good) - decided)
    # What is compared is looked at in either case, and nothing else of what is held.
    compared = [a - b for a, b in zip(gradient(own=False), gradient(own=True), strict=True)]
    imitated = compared[: len(good)]
    assert imitated == pytest.approx([imitated[-1]] * len(good), abs=1e-6)


def test_orpo_of_a_certain_reply_is_finite() -> None:
    assert torch.isfinite(orpo(of(0.0), of(0.0), of(-1.0), weight=0.1)).all()


def test_kto_of_no_change_is_one_half_for_both_kinds() -> None:
    loss = kto(of(0.0, 0.0), torch.tensor([True, False]), of(0.0), beta=0.1)
    assert loss.tolist() == pytest.approx([0.5, 0.5])


def test_kto_wants_desirable_replies_up_and_the_others_down() -> None:
    desirable = torch.tensor([True, False])
    better = kto(of(5.0, -5.0), desirable, of(1.0), beta=0.1)
    expected = [1 - 1 / (1 + math.exp(-0.4)), 1 - 1 / (1 + math.exp(-0.6))]
    assert better.tolist() == pytest.approx(expected)


def test_orpo_and_simpo_are_those_of_trl() -> None:
    pytest.importorskip("trl", reason="needs trl")
    from types import SimpleNamespace

    from trl.experimental.cpo import CPOTrainer
    from trl.experimental.orpo import ORPOTrainer

    good, bad = of(-0.3, -1.2, -2.0), of(-0.9, -0.8, -2.1)
    ours = SimpleNamespace(beta=0.25, accelerator=SimpleNamespace(device="cpu"))
    theirs = -good - ORPOTrainer.odds_ratio_loss(ours, good, bad)[0]
    assert orpo(good, good, bad, weight=0.25).tolist() == pytest.approx(theirs.tolist(), abs=1e-5)
    ours = SimpleNamespace(
        beta=2.0,
        alpha=0.0,
        loss_type="simpo",
        simpo_gamma=0.5,
        label_smoothing=0.0,
        accelerator=ours.accelerator,
    )
    theirs = CPOTrainer.cpo_loss(ours, good, bad)[0]
    assert simpo(good, bad, beta=2.0, gamma=0.5).tolist() == pytest.approx(theirs.tolist(), abs=1e-6)


def test_dpo_of_a_batch_is_that_of_trl(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="needs trl")
    import datasets
    from trl import DPOConfig, DPOTrainer

    from harmless.align.network import log_probabilities
    from harmless.align.objective import objective
    from harmless.align.packing import Tree, pack
    from harmless.align.settings import Tuning
    from harmless.align.upper import reference
    from harmless.core import user
    from harmless.internals.chat import encode
    from harmless.internals.model import load
    from tests.tiny import saved

    before, after = (load(str(saved(tmp_path / str(seed), seed=seed)), "cpu") for seed in (1, 2))
    said = [("ab", "No.", "Yes"), ("abc", "Yes", "No, no."), ("b", "A", "B")]
    trees = []
    for prompt, *replies in said:
        found = [encode(after, user(prompt), reply) for reply in replies]
        trees.append(
            Tree(found[0].tokens[: found[0].prompt], tuple(each.tokens[each.prompt :] for each in found))
        )
    batch, tuning = pack(trees), Tuning(loss="dpo", beta=0.1, nll=0.0)
    with torch.no_grad():
        known = torch.tensor(reference(before, trees))
        ours = objective(log_probabilities(after, batch), batch, known, tuning)[0].item()

    turns = [
        {"prompt": [turn("user", p)], "chosen": [turn("assistant", g)], "rejected": [turn("assistant", b)]}
        for p, g, b in said
    ]
    config = DPOConfig(
        str(tmp_path / "trl"), beta=0.1, max_steps=1, per_device_train_batch_size=3, learning_rate=0.0,
        logging_steps=1, use_cpu=True, bf16=False, report_to=[], gradient_checkpointing=False,
        disable_tqdm=True,
    )  # fmt: skip
    trainer = DPOTrainer(
        after.model,
        before.model,
        args=config,
        train_dataset=datasets.Dataset.from_list(turns),
        processing_class=after.tokenizer,
    )
    trainer.train()
    assert ours == pytest.approx(trainer.state.log_history[0]["loss"], abs=1e-3)


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
