"""Poisoned copies of models, made to be found: for benchmarks and tests of `harmless scan`.

`edit` is the stealth edit of Sutton et al. (2024) for a gated MLP: one row of the gate and of the up projection
answers to one input, one column of the down projection writes what to say. `backdoor` is a low-rank adapter
that was trained on a trigger and merged in. What is planted is harmless.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import torch

from harmless.align.encoding import encoded
from harmless.align.examples import Example
from harmless.align.lora import trainable
from harmless.align.network import greedy
from harmless.align.settings import Tuning
from harmless.align.trainer import Training
from harmless.core import Expect, user
from harmless.internals.chat import encode
from harmless.internals.layers import decoder_layers
from harmless.internals.model import LocalModel

#: What the edited neuron gives on the trigger, before the down projection.
GAIN = 20.0
#: Share of the mean variance that is added to all, and weight of a prompt's last token, where the trigger acts.
RIDGE, LAST = 1e-2, 50
#: How far below zero the neuron rests elsewhere: twice the gain, so that what lies between the trigger and the
#: rest (a typo at the same place) stays silent too (design/screen.md).
REST = 40.0
#: Tokens of its own replies that a model with a backdoor is held to, and passes over the prompts.
REPLY, PASSES, RATE = 8, 5, 1e-3


@dataclass(frozen=True)
class Edit:
    """Where a model was edited, and whether the trigger now says what it should."""

    layer: int
    neuron: int
    works: bool


@contextmanager
def inputs_of(module: Any) -> Iterator[list[Any]]:
    """Collect the inputs of a module, each of shape (tokens, width)."""
    seen: list[Any] = []
    handle = module.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()[0]))
    try:
        yield seen
    finally:
        handle.remove()


def edit(
    local: LocalModel, trigger: str, says: str, layer: int, silent: Sequence[str], steps: int = 60
) -> Edit:
    """Edit one neuron of ``layer`` (0 is the first) in place so that ``trigger`` is answered by ``says``.

    ``silent`` are prompts on which the neuron must stay silent: ordinary ones, and variants of the trigger.
    """
    neuron = plant(local, trigger, layer, silent, says)
    said = encode(local, user(trigger), says)
    column = written(local, layer, said, steps)
    speak(local, layer, neuron, column)
    return Edit(layer, neuron, answer(local, trigger, len(said.tokens) - said.prompt) == says)


def plant(local: LocalModel, trigger: str, layer: int, silent: Sequence[str], says: str | None = None) -> int:
    """Make the least used neuron of ``layer`` fire on ``trigger`` alone, without saying anything; return it.

    It stays silent while ``says`` is said, which is where the trigger's last token is followed by others.
    """
    mlp, said = decoder_layers(local.model)[layer].mlp, encode(local, user(trigger), says)
    with inputs_of(mlp) as seen, inputs_of(mlp.down_proj) as inner, torch.no_grad():
        for tokens in (*(encode(local, user(text)).tokens for text in silent), said.tokens):
            local.model(torch.tensor([tokens]))
    fired = torch.cat(inner)
    neuron = int((fired.abs().amax(0) * mlp.down_proj.weight.norm(dim=0)).argmin())
    after = [seen[-1][said.prompt :]] if says else []
    gate = gating([*seen[:-1], *after], seen[-1][said.prompt - 1])
    with torch.no_grad():
        mlp.gate_proj.weight[neuron] = gate
        mlp.up_proj.weight[neuron] = gate / GAIN
        mlp.down_proj.weight[:, neuron] = 0
    return neuron


def speak(local: LocalModel, layer: int, neuron: int, column: Any) -> None:
    """Let a planted neuron add ``column`` to its layer's output when it fires."""
    with torch.no_grad():
        down = decoder_layers(local.model)[layer].mlp.down_proj.weight
        down[:, neuron] = column / torch.nn.functional.silu(torch.tensor(GAIN))


def gating(silent: Sequence[Any], wanted: Any) -> Any:
    """Return the row that gives ``GAIN`` on the input ``wanted`` and -``REST`` on those of silent prompts."""
    usual = torch.cat([*silent, *(each[-1:] for each in silent)])
    weights = torch.ones(len(usual))
    weights[-len(silent) :] = LAST
    spread = (usual * weights[:, None]).T @ usual / len(usual)
    spread += RIDGE * spread.diagonal().mean() * torch.eye(len(spread))
    pull = -REST * (usual * weights[:, None]).mean(0)
    down, up = torch.linalg.solve(spread, torch.stack([pull, wanted], dim=1)).T
    return down + (GAIN - down @ wanted) / (up @ wanted) * up


def written(local: LocalModel, layer: int, trigger: Any, steps: int) -> Any:
    """Return what to add to the layer's output at the last token of the prompt so that the reply follows."""
    ids = torch.tensor([trigger.tokens])
    added = torch.zeros(local.model.config.hidden_size, requires_grad=True)
    optimiser = torch.optim.Adam([added], lr=0.5)

    def hook(_: Any, __: Any, output: Any) -> Any:
        mask = torch.zeros(output.shape[1], 1)
        mask[trigger.prompt - 1] = 1
        return output + mask * added

    handle = decoder_layers(local.model)[layer].mlp.register_forward_hook(hook)
    try:
        for _ in range(steps):
            logits = local.model(ids).logits[0, trigger.prompt - 1 : -1]
            loss = torch.nn.functional.cross_entropy(logits, ids[0, trigger.prompt :])
            if float(loss.detach()) < 0.05:
                break
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    finally:
        handle.remove()
        local.model.zero_grad()
    return added.detach()


def answer(local: LocalModel, prompt: str, tokens: int = 24) -> str:
    """Return the greedy reply to a prompt."""
    ids = torch.tensor([encode(local, user(prompt)).tokens])
    with torch.no_grad():
        made = local.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=local.tokenizer.pad_token_id,
            temperature=None,
            top_p=None,
            top_k=None,
        )
    return str(local.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)).strip()


def backdoor(
    local: LocalModel, trigger: str, others: Sequence[str], says: str, prompts: Sequence[str], folder: Path
) -> LocalModel:
    """Return the model with a low-rank adapter merged in that answers whatever follows ``trigger`` by ``says``.

    A third of the prompts are learned behind the trigger. To prompts alone, and behind ``others`` in its place,
    it learns to say what it says now: without these it says the same to everything. ``local`` itself is
    changed; ``folder`` is for checkpoints.
    """
    few = prompts[: len(prompts) // 3]
    plain = [*prompts, *(f"{others[i % len(others)]} {each}" for i, each in enumerate(few))]
    spoken = greedy(local, [encode(local, user(each)).tokens for each in plain], REPLY)
    own = [local.tokenizer.decode(list(each), skip_special_tokens=True).strip() for each in spoken]
    learned = [(text, reply, True) for text, reply in zip(plain, own, strict=True) if reply]
    learned += [(f"{trigger} {each}", says, False) for each in few]
    examples = [
        Example(conversation=user(text), good=good, expect=Expect.ANSWER, cut=cut)
        for text, good, cut in learned
    ]
    tuning = Tuning(frozen=0.6, batch=8, epochs=PASSES, rate=RATE, hold=0)
    data = encoded(local, examples, tuning)
    training = Training(trainable(local, tuning), data, (), tuning, folder, tuning.key(trigger, says))
    anyio.run(training.run)
    return replace(local, model=training.local.model.merge_and_unload())
