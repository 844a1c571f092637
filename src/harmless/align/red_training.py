"""Train a red LM, from evidence alone or against a target, and leave a folder that is an attacker."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from anyio.to_thread import run_sync

from harmless.align import checkpoint, lora
from harmless.align.encoding import encoded
from harmless.align.examples import data_hash
from harmless.align.folders import assert_free
from harmless.align.red_lm import Asked, Questioning, imitated
from harmless.align.reinforce import Reinforcement
from harmless.align.rollouts import Drawing
from harmless.align.run import write_model
from harmless.align.settings import Tuning
from harmless.align.trainer import Report, Training
from harmless.attacks.desk import Desk
from harmless.attacks.diversity import self_bleu
from harmless.attacks.red_lm import brief
from harmless.core import Guard, Prompt, Sampling, Target, digest
from harmless.errors import BadFileError, UsageError
from harmless.internals.chat import encode
from harmless.internals.model import LocalModel, digest_of, first_line

#: What the folder says of itself, and what was asked while it was trained.
MANIFEST, QUESTIONS = "red_lm.json", "questions.jsonl"

Told: TypeAlias = Callable[[str, Report | None], None]
"""Gets the name of what is done now, and what is known of it."""

_WORK, _IMITATED = "training", "imitated.safetensors"


@dataclass(frozen=True)
class Rewarding:
    """Reinforcement against a target.

    Args:
        target: is asked what the model writes.
        judge: judges its replies; the score is the reward.
        objectives: for whose hazards questions are written.
        sampling: of the target.
        steps: how many.
        prompts: hazards a step, and ``draws`` questions for each.
        tokens: of the longest question.
        rate: peak learning rate.
        kl: what a nat of divergence from the model before costs.
        repeats: how much of the likeness to the other questions of a step is taken off the reward.
    """

    target: Target
    judge: Guard
    objectives: Sequence[Prompt]
    sampling: Sampling
    steps: int = 40
    prompts: int = 4
    draws: int = 8
    tokens: int = 32
    rate: float | None = None
    kl: float = 0.02
    repeats: float = 0.5

    @property
    def key(self) -> str:
        """Digest of what the reward depends on."""
        aims = [(each.id, each.hazard) for each in self.objectives]
        infos = (self.target.info.identity, self.judge.info.identity)
        return digest(infos, aims, self.sampling, self.repeats, self.prompts, self.rate)


@dataclass(frozen=True)
class RedTraining:
    """What to train, on what, and how.

    Args:
        spec: the model that is to write, as :func:`harmless.targets.local.open_model` takes it.
        successes: questions to imitate; may be empty where there is a reward.
        tuning: how the weights are changed; ``epochs`` are copies of each question on average.
        out: the folder that is written; a training that was cut off there goes on.
        rewarding: reinforcement after imitation; None for imitation alone.
        begun: folder of a red LM on this base that is trained further, with adapters of the same shape.
    """

    spec: str
    successes: Sequence[Asked]
    tuning: Tuning = field(default_factory=lambda: Tuning(frozen=0.6, batch=8))
    out: Path = Path("red")
    rewarding: Rewarding | None = None
    begun: Path | None = None


async def train(what: RedTraining, local: LocalModel, tell: Told = lambda step, known: None) -> dict[str, Any]:
    """Train a red LM and return its manifest; ``local`` is the model that ``what.spec`` names.

    Raises:
        UsageError: there is neither a success nor a target, or the folder to write holds something else.
        TrainingFailedError: the loss is not a number, or the memory is too small.
        UnreachableError: the target only fails; the same call goes on later.
    """
    if not (what.successes or what.rewarding):
        raise UsageError(
            "There is nothing to learn from.",
            "Name runs in which single questions succeeded (--run), or a target to be rewarded against.",
        )
    assert_free(what.out, (MANIFEST, _WORK, QUESTIONS), what.spec)
    base, trained = local.revision, await run_sync(lora.trainable, local, what.tuning)
    if what.begun:
        base = digest(base, await run_sync(_take, what.begun, trained))
    manifest: dict[str, Any] = {
        "base": {"target": what.spec, "revision": base},
        "tuning": what.tuning.model_dump(mode="json"),
    }
    if what.successes:
        tell("imitate what succeeded", None)
        manifest["imitated"] = await _imitate(what, trained, base, tell)
    if what.rewarding:
        tell("reward what succeeds", None)
        manifest["rewarded"] = await _reward(what, what.rewarding, trained, base, tell)
    tell("write the model", None)
    manifest["files"] = await run_sync(write_model, what.spec, what.tuning, what.out, trained)
    (what.out / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(what.out / _WORK)
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what a red LM's folder says of itself; UsageError if it is none."""
    try:
        return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        raise UsageError(f"{folder} holds no finished red LM.", "The command that began it goes on.") from None


def _take(folder: Path, local: LocalModel) -> str:
    """Put the adapters of a folder on a model, and return their digest."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    path = folder / "adapter_model.safetensors"
    try:
        set_peft_model_state_dict(local.model, load_file(path))
    except (OSError, RuntimeError) as error:
        raise BadFileError(
            path,
            f"These adapters do not fit: {first_line(error)}.",
            next_step="Give --rank and --frozen of then.",
        ) from error
    return digest_of(path)


async def _imitate(what: RedTraining, local: LocalModel, base: str, tell: Told) -> dict[str, Any]:
    """Imitate successes; a training that goes on after this stage takes its weights from a file."""
    examples = imitated(what.successes, what.tuning.epochs, what.tuning.seed)
    data = data_hash(examples)
    key = what.tuning.key(data, base)
    done = what.out / _WORK / f"{key[:16]}-{_IMITATED}"
    if not await run_sync(checkpoint.take_best, done, local):
        # The copies of an epoch are in the examples, where their number goes by the score.
        once = what.tuning.model_copy(update={"epochs": 1.0})
        trees = encoded(local, examples, once)
        training = Training(local, trees, (), once, what.out / _WORK / "imitation", key)
        await training.run(lambda known: tell("imitate", known if isinstance(known, Report) else None))
        await run_sync(checkpoint.keep_best, done, local)
    return {"questions": len(what.successes), "examples": len(examples), "data": data}


async def _reward(
    what: RedTraining, how: Rewarding, local: LocalModel, base: str, tell: Told
) -> dict[str, Any]:
    log = _Log(what.out / QUESTIONS)
    prompts = [encode(local, brief(each)).tokens for each in how.objectives]
    drawing = Drawing(how.draws, how.tokens, ends(local))
    rate = how.rate or what.tuning.peak(local.model.config.hidden_size) / 2
    tuning = what.tuning.model_copy(update={"batch": how.prompts, "rate": rate})
    learned = (
        data_hash(imitated(what.successes, what.tuning.epochs, what.tuning.seed)) if what.successes else ""
    )
    folder = what.out / _WORK / f"reward-{digest(how.key, base, learned)[:16]}"
    reward = Questioning(how.objectives, Desk(how.target), how.judge, how.sampling, how.repeats, log.add)
    training = Reinforcement(local, prompts, reward, drawing, how.kl, how.steps, tuning, folder)
    progress = await training.run(lambda known: tell("reward", known))
    return {
        "target": how.target.info.name,
        "judge": how.judge.info.name,
        "hazards": len(how.objectives),
        "draws": how.draws,
        "kl": how.kl,
        "repeats": how.repeats,
        "seconds": round(progress.seconds, 1),
        "history": progress.history,
        "self_bleu": log.self_bleu(how.prompts * how.draws),
    }


def ends(local: LocalModel) -> frozenset[int]:
    """Return the tokens that end a question: the mark of the end, and all with a question mark in them."""
    words = local.tokenizer.get_vocab()
    return frozenset({local.tokenizer.eos_token_id} | {i for word, i in words.items() if "?" in word})


class _Log:
    """What was asked, one JSON object a line; a step that is done again replaces what it wrote before."""

    def __init__(self, path: Path) -> None:
        self._path, self._begun = path, False

    def add(self, step: int, asked: Sequence[Asked]) -> None:
        """Add what a step asked."""
        if not self._begun:
            kept = [row for row in self.rows() if row["step"] < step]
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
            self._begun = True
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(
                json.dumps(
                    {"step": step, "hazard": e.objective.hazard, "question": e.question, "score": e.score}
                )
                + "\n"
                for e in asked
            )

    def rows(self) -> list[dict[str, Any]]:
        """Return what was asked so far; a line that a kill cut off is left out."""
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.is_file() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def self_bleu(self, count: int) -> dict[str, float]:
        """Return self-BLEU of the first and of the last ``count`` questions: it grows if they grow alike."""
        texts = [row["question"] for row in self.rows()]
        parts = {"first": texts[:count], "last": texts[-count:]}
        return {name: self_bleu(part) for name, part in parts.items() if len(part) > 1}
