"""A gate in the weights: neurons that read whether a prompt is harmful, and then begin another reply.

What a model knows of a prompt can be read off its hidden state where the reply begins (Alain and Bengio 2016),
and a vector added there makes it refuse (Arditi et al. 2024), only where a condition holds (Lee et al. 2024).
Here both are written into the weights of one gated MLP (Shazeer 2020), two in the place of those used least:

    gate row    STEEP * (score - line)      the score is a linear probe on what the MLP reads
    up row      1 where the reply begins, 0 elsewhere
    down column the push

Two neurons with their lines a width apart and columns of opposite sign make a step that ends at the whole push.
Below the line the step is 0, so that of the model only the two neurons that made room are missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harmless.align import lora
from harmless.align.network import greedy, hidden_states, room
from harmless.align.packing import Tokens, Tree, bins, pack, shared
from harmless.align.upper import only
from harmless.errors import MissingExtraError, UsageError
from harmless.internals.layers import decoder_layers
from harmless.internals.model import LocalModel
from harmless.internals.probe import Probe

Vector: TypeAlias = NDArray[np.float32]

#: The three matrices of a gated MLP; a neuron is a row of the first two and a column of the third.
GATE, UP, DOWN = "gate_proj", "up_proj", "down_proj"
#: How steep the step is.
STEEP = 30.0
#: From where to where it goes in log-odds; outside it the gate is open or shut. In 16 bits the difference of
#: two neurons is too coarse for a narrow one.
WIDTH, WIDE = 0.3, 1.0
#: Prompts, and tokens of the model's own replies to them, that the place of the reply is learnt from.
SPOKEN, TOKENS = 64, 16
_RIDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Gate:
    """Where the reply begins ``push`` is added if ``weight @ state + bias``, log-odds, is above ``line``.

    Args:
        layer: in whose MLP it is, 0 is the first.
        neurons: the two that make room for it.
        place: has a product of 1 with what the MLP reads where the reply begins, and of 0 elsewhere.
        weight, bias: of the log-odds, on what the MLP reads, (width,).
        line: the log-odds in the middle of the step.
        push: (width,).
        width: of the step, in log-odds.
    """

    layer: int
    neurons: tuple[int, int]
    place: Vector
    weight: Vector
    bias: float
    line: float
    push: Vector
    width: float = WIDTH

    def rows(self) -> Iterator[tuple[Vector, Vector, Vector]]:
        """Yield row of the gate, row of the up and column of the down projection, neuron by neuron."""
        for line, sign in ((self.line - self.width / 2, 1), (self.line + self.width / 2, -1)):
            row = STEEP * (self.weight + (self.bias - line) * self.place)
            yield row.astype(np.float32), self.place, sign * self.push / (STEEP * self.width)


def assert_gated(local: LocalModel) -> None:
    """Stop if the model's MLPs are not gated ones, or in 4 bits.

    Raises:
        UsageError: says so.
    """
    import torch

    for layer in decoder_layers(local.model):
        parts = [getattr(getattr(layer, "mlp", None), name, None) for name in (GATE, UP, DOWN)]
        if not all(type(part) is torch.nn.Linear and getattr(part, "bias", None) is None for part in parts):
            raise UsageError(
                f"A {local.model.config.model_type} model has no gated MLP of three matrices without biases.",
                "Take another --method; models in 4 bits have to be opened whole.",
            )


def opening_states(local: LocalModel, prompts: Sequence[Tokens], layers: Sequence[int]) -> NDArray[np.float32]:
    """Return what the MLPs of some layers read where the reply begins, (prompts, layers, width)."""
    import torch

    common = shared(prompts)
    width = local.model.config.get_text_config().hidden_size
    found = np.zeros((len(prompts), len(layers), width), np.float32)
    for group in bins([len(prompt) - common for prompt in prompts], room(local) - common):
        # The one token behind each prompt is not read: its place is where the prompt's own last token speaks.
        batch = pack([Tree(prompts[i], ((0,),)) for i in group], common).to(local.device)
        with torch.inference_mode(), _reading(local, layers) as seen, only(local, slice(0, max(layers) + 1)):
            hidden_states(local, {"input_ids": batch.tokens}, batch.positions, batch.mask)
        for at, layer in enumerate(layers):
            found[group, at] = seen[layer][batch.places].float().cpu().numpy()
    return found


def place_of(local: LocalModel, prompts: Sequence[Tokens], layer: int) -> tuple[Vector, NDArray[np.float64]]:
    """Return the direction that is 1 where a reply begins, 0 elsewhere, and how much each neuron is used.

    It is learnt from prompts and the model's own replies to them, by least squares, both kinds of places with
    the same weight. The use of a neuron is the root mean square of what it adds to the state.
    """
    import torch

    asked = list(prompts[:SPOKEN])
    spoken = greedy(local, asked, TOKENS)
    trees = [Tree(prompt, ((*reply, 0),)) for prompt, reply in zip(asked, spoken, strict=True)]
    there, elsewhere = [], []
    for group in bins([tree.size for tree in trees], room(local)):
        batch = pack([trees[i] for i in group]).to(local.device)
        with torch.inference_mode(), _reading(local, [layer]) as seen, only(local, slice(0, layer + 1)):
            hidden_states(local, {"input_ids": batch.tokens}, batch.positions, batch.mask)
        begins = torch.zeros(len(seen[layer]), dtype=torch.bool)
        begins[batch.places[batch.counts.cumsum(0) - batch.counts].cpu()] = True
        read = seen[layer].float().cpu().numpy()
        there.append(read[begins.numpy()])
        elsewhere.append(read[~begins.numpy()])
    return _direction(np.concatenate(there), np.concatenate(elsewhere)), _use(
        local, layer, np.concatenate([*there, *elsewhere])
    )


def _direction(there: NDArray[np.float32], elsewhere: NDArray[np.float32]) -> Vector:
    ones, others = there.astype(np.float64), elsewhere.astype(np.float64)
    squares = ones.T @ ones / len(ones) + others.T @ others / len(others)
    ridge = _RIDGE * np.trace(squares) / len(squares) * np.eye(len(squares))
    return np.asarray(np.linalg.solve(squares + ridge, ones.mean(axis=0)), np.float32)


def _use(local: LocalModel, layer: int, read: NDArray[np.float32]) -> NDArray[np.float64]:
    import torch

    mlp = decoder_layers(local.model)[layer].mlp
    with torch.inference_mode():
        states = torch.from_numpy(read).to(local.device, local.model.dtype)
        each = mlp.act_fn(mlp.gate_proj(states)) * mlp.up_proj(states)
        used = each.float().square().mean(0).sqrt() * mlp.down_proj.weight.float().norm(dim=0)
    return np.asarray(used.cpu().numpy(), np.float64)


def score_of(probe: Probe) -> tuple[Vector, float]:
    """Return weight and bias of a probe's log-odds on states that are not standardised."""
    weight = probe.weight / probe.scale
    return weight.astype(np.float32), float(probe.bias - weight @ probe.mean)


def adapted(local: LocalModel, gate: Gate) -> LocalModel:
    """Return the model with the gate in adapters on the three matrices, in the place of its neurons.

    Raises:
        MissingExtraError: peft is not installed.
    """
    import torch

    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("A gate", "align") from error
    mlp = decoder_layers(local.model)[gate.layer].mlp
    parts = {name: getattr(mlp, name) for name in (GATE, UP, DOWN)}
    named = {name: path for path, each in local.model.named_modules() for name in parts if each is parts[name]}
    before = {name: part.weight.detach().float().clone() for name, part in parts.items()}
    rank = len(gate.neurons)
    config = peft.LoraConfig(
        r=rank, lora_alpha=rank, target_modules=[named[name] for name in parts], task_type="CAUSAL_LM"
    )
    model = lora.with_adapters(local.model, config)
    adapters = {name: getattr(mlp, name) for name in parts}
    with torch.no_grad():
        for each in adapters.values():
            each.lora_A["default"].weight.zero_()
            each.lora_B["default"].weight.zero_()
        for at, (neuron, rows) in enumerate(zip(gate.neurons, gate.rows(), strict=True)):
            open_, up, down = (torch.from_numpy(row).to(local.device) for row in rows)
            for name, row in ((GATE, open_), (UP, up)):
                adapters[name].lora_A["default"].weight[at] = row - before[name][neuron]
                adapters[name].lora_B["default"].weight[neuron, at] = 1.0
            adapters[DOWN].lora_A["default"].weight[at, neuron] = 1.0
            adapters[DOWN].lora_B["default"].weight[:, at] = down - before[DOWN][:, neuron]
    return replace(local, model=model)


@contextmanager
def _reading(local: LocalModel, layers: Sequence[int]) -> Iterator[dict[int, Any]]:
    """Yield what the MLPs of layers read in the run before, (tokens, width), of a batch of one."""
    seen: dict[int, Any] = {}

    def keep(layer: int) -> Any:
        def hook(_: Any, given: Any) -> None:
            seen[layer] = given[0][0]

        return hook

    every = decoder_layers(local.model)
    handles = [every[layer].mlp.register_forward_pre_hook(keep(layer)) for layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
