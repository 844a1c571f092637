"""Reinforcement: replies that a reward finds good become likelier, held to the model before (RLOO).

REINFORCE with the mean reward of a prompt's other replies as baseline (Kool et al. 2019, Ahmadian et al. 2024);
the divergence from the starting weights is taken off the reward (Perez et al. 2022).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import ArrayLike, NDArray

from harmless.align import checkpoint
from harmless.align.checkpoint import Progress
from harmless.align.lora import first_trained, parameters
from harmless.align.network import log_probabilities, room, summed
from harmless.align.packing import Tokens, Tree, bins, pack
from harmless.align.rollouts import Drawing, sampled
from harmless.align.settings import Tuning
from harmless.align.trainer import (
    EVERY_S,
    LAST,
    Report,
    check_finite,
    clipped,
    descend,
    enough_memory,
    optimiser_of,
    schedule,
)
from harmless.align.upper import Upper, reference
from harmless.core import digest
from harmless.internals.model import LocalModel

#: Hexadecimal digits of a seed.
_SEED = 8

Reward: TypeAlias = Callable[[int, Sequence[int], Sequence[str]], Awaitable[NDArray[np.float64]]]
"""Gets the step, which prompt each reply is to, and the replies; returns a number each, NaN where unknown."""


@dataclass(frozen=True)
class Reinforcement:
    """A training by reward that is to be done, or to go on.

    Args:
        local: the model, opened by :func:`harmless.align.lora.trainable`; what it is now is the reference.
        prompts: what it is asked; ``tuning.batch`` of them a step.
        reward: judges replies.
        how: how replies are drawn.
        kl: what a nat of divergence from the reference costs, in units of reward.
        steps: how many.
        tuning: rate, warm-up, share of layers, seed.
        folder: where checkpoints are; a training that was cut off there goes on.
    """

    local: LocalModel
    prompts: Sequence[Tokens]
    reward: Reward
    how: Drawing
    kl: float
    steps: int
    tuning: Tuning
    folder: Path

    @property
    def key(self) -> str:
        """Digest of what a checkpoint has to agree in; what the reward is, the folder has to tell apart."""
        drawing = (self.how.draws, self.how.tokens, self.how.temperature, self.how.top_p)
        return digest(self.prompts, drawing, self.kl, self.steps, self.tuning.model_dump(mode="json"))

    async def run(self, observe: Callable[[Report], None] = lambda _: None) -> Progress:
        """Train to the end.

        Raises:
            TrainingFailedError: the loss or a gradient is not a number, or the memory is too small.
            UsageError: the folder holds another training; BadFileError: its checkpoint is damaged.
            UnreachableError: what the reward needs cannot be reached; the same call goes on later.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with enough_memory():
            loop = await run_sync(_Loop, self)
            progress = loop.progress
            while progress.step < progress.steps:
                places = loop.places(progress.step)
                replies, texts = await run_sync(loop.speak, places)
                asked = [place for place in places for _ in range(self.how.draws)]
                rewards = await self.reward(progress.step, asked, texts)
                observe(await run_sync(loop.learn, places, replies, rewards.reshape(len(places), -1)))
        await run_sync(loop.save)
        self.local.model.eval()
        return progress


def advantages(rewards: ArrayLike) -> NDArray[np.float64]:
    """Return by how much each reward, (prompts, draws), exceeds the mean of the others to its prompt.

    0 where a reward is NaN, or the only one of its prompt.
    """
    known = np.asarray(rewards, np.float64)
    there = ~np.isnan(known)
    others = there.sum(axis=1, keepdims=True) - there
    sums = np.where(there, known, 0.0)
    baseline = (sums.sum(axis=1, keepdims=True) - sums) / np.maximum(others, 1)
    return np.where(there & (others > 0), sums - baseline, 0.0)


class _Loop:
    """The state of a running training."""

    def __init__(self, training: Reinforcement) -> None:
        self.training, self.tuning, self.local = training, training.tuning, training.local
        weights = parameters(self.local)
        self.start = {name: each.detach().clone() for name, each in weights.items()}
        self.first = first_trained(self.local, self.tuning) if self.local.device == "cpu" else 0
        self.peak = self.tuning.peak(self.local.model.config.hidden_size)
        self.optimiser = optimiser_of(self.local, self.peak)
        last = training.folder / LAST
        found = checkpoint.restore(last, self.local, self.optimiser, training.key)
        self.progress = found or Progress(key=training.key, steps=training.steps)
        self.saved = self.began = time.monotonic()
        self.tokens, self.seconds = 0, 0.0

    def places(self, step: int) -> list[int]:
        """Return which prompts a step asks; each pass over all of them has an order of its own."""
        size, count = self.tuning.batch, len(self.training.prompts)
        rounds = [divmod(number, count) for number in range(step * size, (step + 1) * size)]
        orders = {r: np.random.default_rng((self.tuning.seed, r)).permutation(count) for r, _ in rounds}
        return [int(orders[r][place]) for r, place in rounds]

    def speak(self, places: Sequence[int]) -> tuple[list[tuple[Tokens, ...]], list[str]]:
        """Return replies to prompts as tokens, and all of them as text."""
        self.began = time.monotonic()
        seed = int(digest(self.tuning.seed, self.progress.step)[:_SEED], 16)
        found = sampled(self.local, [self.training.prompts[i] for i in places], self.training.how, seed)
        flat = [list(reply) for replies in found for reply in replies]
        texts: list[str] = self.local.tokenizer.batch_decode(flat, skip_special_tokens=True)
        return found, texts

    def learn(
        self, places: Sequence[int], replies: Sequence[tuple[Tokens, ...]], rewards: NDArray[np.float64]
    ) -> Report:
        """Take a step towards what was rewarded, and report it."""
        trees = [Tree(self.training.prompts[i], said) for i, said in zip(places, replies, strict=True)]
        upper = Upper(self.local, trees, self.first) if self.first else None
        before = self._before(trees, upper)
        drift = np.asarray(reference(self.local, trees, upper=upper)) - before
        worth = advantages(rewards - self.training.kl * drift)
        self.local.model.train()
        loss = self._backward(trees, upper, worth)
        check_finite(loss, clipped(self.local), self.progress.step, self.training.folder)
        descend(self.optimiser, self.peak * schedule(self.progress, self.tuning.warm_up))
        self.progress.step += 1
        shown = {"reward": float(np.nanmean(rewards)), "kl": float(drift.mean())}
        self.progress.history.append({"step": self.progress.step, **shown})
        return self._report(loss, shown, sum(tree.size for tree in trees))

    def save(self) -> None:
        """Write the checkpoint."""
        checkpoint.save(self.training.folder / LAST, self.local, self.optimiser, self.progress)
        self.saved = time.monotonic()

    def _before(self, trees: Sequence[Tree], upper: Upper | None) -> NDArray[np.float64]:
        """Return what the starting weights give to each reply, in nats."""
        now = {name: each.detach().clone() for name, each in parameters(self.local).items()}
        checkpoint.put(self.local, self.start)
        try:
            return np.asarray(reference(self.local, trees, upper=upper))
        finally:
            checkpoint.put(self.local, now)

    def _backward(self, trees: Sequence[Tree], upper: Upper | None, worth: NDArray[np.float64]) -> float:
        """Add up the gradients of a step; return its loss."""
        import torch

        total = 0.0
        for group in bins([tree.size for tree in trees], room(self.local)):
            value = torch.tensor(worth[group].ravel(), dtype=torch.float32, device=self.local.device)
            if upper:
                batch, states = upper.packed(group)
                values = upper.log_probabilities(batch, states)
            else:
                batch = pack([trees[i] for i in group]).to(self.local.device)
                values = log_probabilities(self.local, batch)
            loss = -(value * summed(values, batch)).sum() / worth.size
            loss.backward()
            total += float(loss.detach())
        return total

    def _report(self, loss: float, shown: dict[str, float], tokens: int) -> Report:
        progress, took = self.progress, time.monotonic() - self.began
        self.tokens, self.seconds = self.tokens + tokens, self.seconds + took
        progress.seconds += took
        if time.monotonic() - self.saved > EVERY_S:
            self.save()
        left = (progress.steps - progress.step) * progress.seconds / progress.step
        return Report(progress.step, progress.steps, loss, shown, self.tokens / self.seconds, left)
