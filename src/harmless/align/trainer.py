"""The training loop: packed batches, resumed exactly, the best weights by the development frontier."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray

from harmless.align import checkpoint, network
from harmless.align.before import Before, States
from harmless.align.checkpoint import Progress
from harmless.align.encoding import Encoded
from harmless.align.examples import Example
from harmless.align.frontier import Frontier, Leaning, leaning, measure
from harmless.align.lora import first_trained, parameters
from harmless.align.objective import objective
from harmless.align.packing import Pack, bins, shared
from harmless.align.plain import Plain
from harmless.align.settings import Tuning
from harmless.align.upper import Upper
from harmless.errors import HarmlessError
from harmless.internals.model import LocalModel, first_line

#: Steps that are timed to fit the number of steps to the minutes.
TIMED = 3
#: Seconds between checkpoints, so that a kill costs no more.
EVERY_S = 60.0
#: When the development frontier is measured, in shares of the steps. The last six are while the line is set.
MARKS = (0.4, 0.8, 0.84, 0.88, 0.92, 0.96, 1.0)
#: From which share of the steps on the rate stays low and the line is moved to where it belongs.
SETTLED = 0.8

_CLIP = 1.0
#: The rate then, as a share of the peak: the line no longer wavers, and follows within a few steps.
_LOW = 0.1
#: Share of the way that the line is moved after each measurement; what is trained follows with a delay.
_GAIN = 0.6
#: Share of the minutes that is for steps; the rest is for measuring.
_TRAINING = 0.9
_ADVICE = (
    "Lower --batch or --longest, take --weights lora or, on a GPU, qlora, or a smaller model;"
    " the same command with another --out then begins anew."
)
#: Where in a training's folder the checkpoint is.
LAST = "checkpoint"
_BEST = "best.safetensors"


class TrainingFailedError(HarmlessError):
    """The training cannot go on; the last good checkpoint is kept."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is told after each step: place, loss, further figures, tokens a second and seconds that are left."""

    step: int
    steps: int
    loss: float
    figures: dict[str, float]
    tokens_s: float
    left_s: float


Observer = Callable[[Report | Frontier | Leaning], None]


@dataclass(frozen=True)
class Training:
    """A training that is to be done, or to go on.

    Args:
        local: the model, opened by :func:`harmless.align.lora.trainable`.
        data: what is trained on.
        development: examples whose prompts are asked now and then; the weights that do best on them win. May
            be empty: then the last weights are taken.
        held: the same with both replies, where there are: then it counts how well they are told apart.
        tuning: how.
        folder: where checkpoints are; a training that was cut off there goes on.
        key: digest of all of it, see :meth:`Tuning.key`.
    """

    local: LocalModel
    data: Encoded
    development: Sequence[Example]
    tuning: Tuning
    folder: Path
    key: str
    held: Encoded | None = None

    async def run(self, observe: Observer = lambda _: None) -> Progress:
        """Train to the end and leave the best weights in the model.

        Raises:
            TrainingFailedError: the loss or a gradient is not a number, or the memory is too small.
            UsageError: the folder holds another training; BadFileError: its checkpoint is damaged.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with enough_memory():
            loop = await run_sync(_Loop, self)
            progress = loop.progress
            marks = {max(1, round(progress.steps * share)) for share in MARKS}
            while progress.step < progress.steps:
                observe(await run_sync(loop.step))
                if self.development and progress.step in marks:
                    observe(await self._measured(loop))
                    await run_sync(loop.save)
        await run_sync(loop.save)
        checkpoint.take_best(self.folder / _BEST, self.local)
        self.local.model.eval()
        return progress

    async def _measured(self, loop: _Loop) -> Frontier | Leaning:
        """Measure the model; keep its weights if they are the best, and move the line, once it has settled."""
        found: Frontier | Leaning
        progress = loop.progress
        if self.held is None:
            found = await measure(self.local, self.development)
            score = found.score
        else:
            found = await leaning(self.local, self.held, self.tuning.tolerated, loop.held)
            score = found.score(self.tuning.tolerated)
        progress.history.append({"step": progress.step, **asdict(found), "score": score})
        if isinstance(found, Leaning):
            if progress.step < round(SETTLED * progress.steps):
                return found
            progress.line += _GAIN * found.line
        if progress.best is None or score > progress.best[0]:
            progress.best = (score, progress.step)
            checkpoint.keep_best(self.folder / _BEST, self.local)
        return found


@dataclass(frozen=True, slots=True)
class _Part:
    """A share of a step's examples as one pack, what goes into the upper layers, and the reference's sums."""

    trees: list[int]
    pack: Pack
    states: Any
    reference: Any
    share: float


class _Loop:
    """The state of a running training."""

    def __init__(self, training: Training) -> None:
        began = time.monotonic()
        self.training, self.tuning, self.local = training, training.tuning, training.local
        self.upper = _upper(training, training.data)
        self.held = _upper(training, training.held) if training.held else None
        self.before = _before(training, self.upper)
        self.states = States(self.local, training.data.trees, self.upper)
        self.plain = _plain(training)
        self.local.model.train()
        self.peak = self.tuning.peak(self.local.model.config.hidden_size)
        self.optimiser = optimiser_of(self.local, self.peak)
        last = training.folder / LAST
        found = checkpoint.restore(last, self.local, self.optimiser, training.key)
        self.progress = found or Progress(key=training.key, steps=0)
        if found is None:
            self.progress.steps = self._planned(began)
        self.saved = time.monotonic()
        self.tokens, self.seconds = 0, 0.0

    def step(self) -> Report:
        """Do one step; what it does depends on its number and the seed only."""
        began, progress = time.monotonic(), self.progress
        batch = self._batch(progress.step)
        loss, figures = self._backward(batch, progress.step)
        check_finite(loss, clipped(self.local), progress.step, self.training.folder)
        descend(self.optimiser, self.peak * schedule(progress, self.tuning.warm_up))
        progress.step += 1
        took = time.monotonic() - began
        self.tokens, self.seconds, progress.seconds = (
            self.tokens + sum(part.pack.tokens.shape[1] for part in batch),
            self.seconds + took,
            progress.seconds + took,
        )
        if time.monotonic() - self.saved > EVERY_S:
            self.save()
        left = (progress.steps - progress.step) * progress.seconds / progress.step
        return Report(progress.step, progress.steps, loss, figures, self.tokens / self.seconds, left)

    def save(self) -> None:
        """Write the checkpoint."""
        checkpoint.save(self.training.folder / LAST, self.local, self.optimiser, self.progress)
        self.saved = time.monotonic()

    def _planned(self, began: float) -> int:
        """Return how many steps there are: all epochs, or what fits the minutes as the first ones take."""
        trees = len(self.training.data.trees)
        steps = math.ceil(self.tuning.epochs * trees / self.tuning.batch)
        if self.tuning.minutes is None:
            return steps
        first = float(np.median([self._timed(step) for step in range(TIMED)]))
        again = self._timed(TIMED - 1)
        self.optimiser.zero_grad(set_to_none=True)
        room = _TRAINING * 60 * self.tuning.minutes - (time.monotonic() - began)
        once = math.ceil(trees / self.tuning.batch)
        fitting = int(room / first)
        if fitting > once:
            fitting = once + int((room - once * first) / again)
        return max(1, min(steps, fitting))

    def _timed(self, step: int) -> float:
        """Return the seconds of a step, whose gradients are to be forgotten."""
        at = time.monotonic()
        self._backward(self._batch(step), step)
        return time.monotonic() - at

    def _batch(self, step: int) -> list[_Part]:
        """Return the examples of a step in packs; each epoch has an order of its own."""
        import torch

        trees, size, device = self.training.data.trees, self.tuning.batch, self.local.device
        places = range(step * size, (step + 1) * size)
        orders = {e: _order(len(trees), e, self.tuning.seed) for e in {p // len(trees) for p in places}}
        chosen = [int(orders[place // len(trees)][place % len(trees)]) for place in places]
        chosen.sort(key=lambda i: trees[i].size)
        parts = []
        common = self.upper.common if self.upper else shared([trees[i].prompt for i in chosen])
        for group in bins([trees[i].size - common for i in chosen], network.room(self.local)):
            these = [chosen[i] for i in group]
            known = torch.tensor(self.before.of(these), device=device) if self.before else None
            batch, states = self.states.packed(these)
            parts.append(_Part(these, batch, states, known, len(these) / size))
        return parts

    def _backward(self, batch: list[_Part], step: int) -> tuple[float, dict[str, float]]:
        """Add up the gradients of a step; return its loss and what is shown beside."""
        total, shown = 0.0, dict[str, float]()
        for part in batch:
            logs = network.distributions(self.local, self.states.now(part.pack, part.states))
            values = logs.gather(1, part.pack.targets[:, None])[:, 0]
            loss, figures = objective(values, part.pack, part.reference, self.tuning, self.progress.line)
            loss = loss + self._moved(part, logs)
            (loss * part.share).backward()
            total += float(loss.detach()) * part.share
            for name, value in figures.items():
                shown[name] = shown.get(name, 0.0) + value * part.share
        if self.plain:
            moved = self.plain.divergence(step)
            (self.tuning.hold * moved).backward()
            shown["moved"] = float(moved.detach())
        return total, shown

    def _moved(self, part: _Part, logs: Any) -> Any:
        """Return the loss of how far own replies have moved: the mean over trees of that a token."""
        tokens = network.own_tokens(part.pack)
        if not tokens.any():
            return 0.0
        moved = network.divergence(self.local, self.states.of(part.trees), logs[tokens])
        return self.tuning.hold * (moved / part.pack.counts[part.pack.replies[tokens]]).sum() / len(part.trees)


def _upper(training: Training, asked: Encoded) -> Upper | None:
    """Return the layers that are trained, where those below them need not run again and the memory is ample."""
    first = first_trained(training.local, training.tuning)
    if not first or not training.local.device.startswith("cpu"):
        return None
    return Upper(training.local, asked.trees, first)


def _before(training: Training, upper: Upper | None) -> Before | None:
    """Return what the model gives before training, where the loss wants it."""
    if not training.tuning.reference:
        return None
    path = training.folder / f"reference-{training.key[:16]}.npy"
    return Before(training.local, training.data.trees, training.tuning, upper, path)


def _plain(training: Training) -> Plain | None:
    """Return what holds plain text, where it is held."""
    tuning, local = training.tuning, training.local
    if not tuning.holds:
        return None
    first = first_trained(local, tuning) if local.device.startswith("cpu") else 0
    return Plain(local, first, tuning.seed)


def _order(count: int, epoch: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(count)


def schedule(progress: Progress, warm_up: float) -> float:
    """Return the share of the peak rate: up over the first steps, down in a line to a tenth, and then level."""
    rising = max(1.0, warm_up * progress.steps)
    falling = max(0.0, 1 - progress.step / (SETTLED * progress.steps))
    return min(1.0, (progress.step + 1) / rising) * (_LOW + (1 - _LOW) * falling)


def optimiser_of(local: LocalModel, rate: float) -> Any:
    """Return the optimiser of what is trained of a model."""
    import torch

    return torch.optim.AdamW(list(parameters(local).values()), lr=rate, betas=(0.9, 0.98), weight_decay=0.0)


@contextmanager
def enough_memory() -> Iterator[None]:
    """Give advice where torch runs out of memory while the block runs: TrainingFailedError."""
    try:
        yield
    except RuntimeError as error:
        if "memory" not in str(error):
            raise
        raise TrainingFailedError(f"The memory is too small: {first_line(error)}.", _ADVICE) from error


def check_finite(loss: float, norm: float, step: int, folder: Path) -> None:
    """Stop with TrainingFailedError if the loss of a step is not a number, or the norm of its gradient.

    A loss may be finite and its gradient not; the weights would no longer be numbers after the step.
    """
    for name, value in (("loss", loss), ("gradient", norm)):
        if not math.isfinite(value):
            raise TrainingFailedError(
                f"The {name} is not a number at step {step + 1}.",
                f"The last good checkpoint is in {folder / LAST}; try a lower --rate in another --out.",
            )


def clipped(local: LocalModel) -> float:
    """Clip the gradients, and return their norm before."""
    import torch

    return float(torch.nn.utils.clip_grad_norm_(list(parameters(local).values()), _CLIP))


def descend(optimiser: Any, rate: float) -> None:
    """Take a step at this rate, and forget the gradients."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
