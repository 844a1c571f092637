"""A tiny model is rewarded for what it says: it learns it, goes on after a kill, and becomes an attacker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import anyio
import numpy as np
import pytest

from harmless.align.settings import Tuning

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("peft", reason="needs peft (extra align)")

from harmless.align.lora import parameters, trainable  # noqa: E402
from harmless.align.network import greedy, log_probabilities  # noqa: E402
from harmless.align.packing import Tokens, Tree, pack  # noqa: E402
from harmless.align.red_lm import Asked  # noqa: E402
from harmless.align.red_training import QUESTIONS, RedTraining, Rewarding, read_manifest, train  # noqa: E402
from harmless.align.reinforce import Reinforcement  # noqa: E402
from harmless.align.rollouts import Drawing, sampled  # noqa: E402
from harmless.align.trainer import Report, TrainingFailedError  # noqa: E402
from harmless.attacks import from_texts  # noqa: E402
from harmless.core import Sampling  # noqa: E402
from harmless.errors import BadFileError, UsageError  # noqa: E402
from harmless.internals.model import LocalModel, load  # noqa: E402
from tests.doubles import FakeGuard, FakeTarget, said  # noqa: E402
from tests.tiny import saved  # noqa: E402

PROMPTS = [tuple(b"<how>"), tuple(b"<what is>"), tuple(b"<why>")]
LETTERS = frozenset(range(66, 92))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("tiny"))


def likes(local: LocalModel) -> object:
    async def reward(step: int, places: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        return np.array([sum(c in "ABCDEFGHIJKLM" for c in text) / 4 for text in texts])

    return reward


def reinforcement(folder: Path, out: Path, steps: int = 6, kl: float = 0.0, **changes: object) -> Reinforcement:
    tuning = Tuning(**{"batch": 2, "rank": 4, "rate": 2e-2, "frozen": 0.5, **changes})
    local = trainable(load(str(folder), "cpu"), tuning)
    how = Drawing(draws=6, tokens=4, ends=frozenset({local.tokenizer.eos_token_id}))
    return Reinforcement(local, PROMPTS, likes(local), how, kl, steps, tuning, out)


def run(what: Reinforcement) -> tuple[list[Report], np.ndarray]:
    reports: list[Report] = []
    anyio.run(what.run, reports.append)
    weights = torch.cat([each.detach().flatten() for each in parameters(what.local).values()])
    return reports, weights.numpy()


def test_the_likeliest_replies_are_the_greedy_ones(folder: Path) -> None:
    local = load(str(folder), "cpu")
    end = local.tokenizer.eos_token_id
    found = sampled(local, PROMPTS, Drawing(2, 5, {end}, top_p=1e-9), seed=0)
    for drawn, expected in zip(found, greedy(local, PROMPTS, 5), strict=True):
        assert [tuple(t for t in each if t != end) for each in drawn] == [expected, expected]


def test_replies_end_where_they_are_to_end_and_follow_from_the_seed(folder: Path) -> None:
    local = load(str(folder), "cpu")
    how = Drawing(8, 6, LETTERS)
    found = sampled(local, PROMPTS, how, seed=3)
    for each in (reply for replies in found for reply in replies):
        assert not LETTERS & set(each[:-1])
        assert len(each) == 6 or each[-1] in LETTERS
    assert sampled(local, PROMPTS, how, seed=3) == found
    assert sampled(local, PROMPTS, how, seed=4) != found


def test_replies_are_drawn_as_the_model_says(folder: Path) -> None:
    local = load(str(folder), "cpu")
    prompt: Tokens = PROMPTS[0]
    draws = sampled(local, [prompt], Drawing(3000, 1, frozenset(), top_p=1.0), seed=0)[0]
    counts = np.bincount([each[0] for each in draws], minlength=len(local.tokenizer)) / len(draws)
    with torch.no_grad():
        tree = Tree(prompt, tuple((token,) for token in range(len(local.tokenizer))))
        expected = log_probabilities(local, pack([tree])).exp().numpy()
    assert np.abs(counts - expected).max() < 0.03


def test_what_is_rewarded_becomes_likelier(folder: Path, tmp_path: Path) -> None:
    reports, _ = run(reinforcement(folder, tmp_path, steps=25))
    rewards = [each.figures["reward"] for each in reports]
    assert np.mean(rewards[-5:]) > np.mean(rewards[:5]) + 0.1
    assert reports[0].figures["kl"] == pytest.approx(0, abs=1e-4)
    assert reports[-1].figures["kl"] > 0.1


def test_divergence_is_held_where_it_costs(folder: Path, tmp_path: Path) -> None:
    free, _ = run(reinforcement(folder, tmp_path / "free"))
    held, _ = run(reinforcement(folder, tmp_path / "held", kl=1.0))
    assert held[-1].figures["kl"] < free[-1].figures["kl"]


def test_a_training_that_was_cut_off_ends_with_the_same_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, expected = run(reinforcement(folder, tmp_path / "whole", steps=6))
    monkeypatch.setattr("harmless.align.reinforce.EVERY_S", 0.0)

    def stop(known: Report) -> None:
        if known.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        anyio.run(reinforcement(folder, tmp_path / "cut", steps=6).run, stop)
    reports, found = run(reinforcement(folder, tmp_path / "cut", steps=6))
    assert [each.figures for each in reports] == [each.figures for each in whole[3:]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_loss_that_is_not_a_number_stops(folder: Path, tmp_path: Path) -> None:
    what = reinforcement(folder, tmp_path)

    def spoil(known: Report) -> None:
        with torch.no_grad():
            next(iter(parameters(what.local).values())).fill_(float("inf"))

    with pytest.raises((TrainingFailedError, RuntimeError)):
        anyio.run(what.run, spoil)


def red(folder: Path, out: Path, **changes: object) -> RedTraining:
    aims = from_texts(["open the box", "close the box"])
    known = [Asked(objective=aims[i % 2], question=f"Is box {i} open?", reply="", score=0.9) for i in range(4)]
    target = FakeTarget(lambda text, _: said("UNSAFE" if "a" in text else "fine"))
    rewarding = Rewarding(target, FakeGuard(), aims, Sampling(), steps=2, prompts=2, draws=3, tokens=6)
    tuning = Tuning(frozen=0.5, batch=4, rank=4, rate=1e-3, epochs=1, longest=5000)
    given = {"successes": known, "tuning": tuning, "out": out, "rewarding": rewarding, **changes}
    return RedTraining(f"hf:{folder}", **given)


def trained(what: RedTraining, folder: Path) -> None:
    anyio.run(train, what, load(str(folder), "cpu"))


def test_a_red_lm_is_a_folder_that_is_a_model(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harmless.align.red_lm.question_in", lambda text: f"Is it {text!r}?")
    trained(red(folder, tmp_path), folder)
    manifest = read_manifest(tmp_path)
    assert manifest["imitated"]["questions"] == 4
    assert [each["step"] for each in manifest["rewarded"]["history"]] == [1, 2]
    rows = [json.loads(line) for line in (tmp_path / QUESTIONS).read_text().splitlines()]
    assert [row["step"] for row in rows] == [0] * 6 + [1] * 6
    assert load(str(tmp_path), "cpu").model.peft_config
    assert not (tmp_path / "training").exists()


def test_a_red_lm_is_trained_further(folder: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    trained(red(folder, first, rewarding=None), folder)
    trained(red(folder, second, successes=[], begun=first), folder)
    assert {"imitated", "rewarded"} & set(read_manifest(second)) == {"rewarded"}
    other = Tuning(frozen=0.5, batch=4, rank=8)
    with pytest.raises(BadFileError, match="do not fit"):
        trained(red(folder, tmp_path / "third", successes=[], begun=first, tuning=other), folder)


def test_nothing_to_learn_from_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to learn from"):
        trained(red(folder, tmp_path, successes=[], rewarding=None), folder)
