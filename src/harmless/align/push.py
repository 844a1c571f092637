"""What to add to a hidden state so that the model says a given reply, whatever it was asked.

One vector, added where the reply begins, is learnt by gradient; no weight changes. A vector can hold a text
(Kuratov et al. 2025), and the words that a prompt suggests find their way into it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from harmless.align.gate import Vector
from harmless.align.network import distributions, room
from harmless.align.packing import Pack, Tree, bins
from harmless.align.upper import Upper
from harmless.internals.layers import decoder_layers
from harmless.internals.model import LocalModel

#: Steps of one pack each, and in how many of them the rate rises.
STEPS, WARM_UP = 120, 5
#: The highest rate, as a share of the length of the states that it is added to.
RATE = 0.008
#: Loss, nats a token, below which the text is known.
KNOWN = 0.03


def learnt(
    local: LocalModel,
    trees: Sequence[Tree],
    layer: int,
    place: Vector,
    tell: Callable[[int, float], None] = lambda step, loss: None,
) -> Vector:
    """Return the vector which, added to what the MLP of ``layer`` gives, makes each reply the likeliest.

    Args:
        local: the model; none of its weights gets a gradient.
        trees: prompts, each with the one reply; in each step as many as fill a pack.
        layer: whose MLP, 0 is the first.
        place: what the MLP reads has a product with it of about 1 where a reply begins. A gate gives the vector
            with the square of that product, and so does this.
        tell: gets the step and the loss, nats a token.
    """
    import torch

    local.model.requires_grad_(False)
    upper = Upper(local, trees, layer)
    packs = bins([tree.size - upper.common for tree in trees], room(local) - upper.common)
    random.Random(0).shuffle(packs)
    _, states = upper.packed(packs[0])
    push = torch.zeros(states.shape[-1], device=states.device, requires_grad=True)
    peak = RATE * float(states.norm(dim=-1).median())
    optimiser = torch.optim.Adam([push], lr=peak)
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = peak * _rate(step)
        batch, states = upper.packed(packs[step % len(packs)])
        with _adding(local, layer, batch, push, torch.from_numpy(place).to(states.device)):
            found = distributions(local, upper.before_replies(batch, states))
        loss = -found.gather(1, batch.targets[:, None]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        tell(step, known := float(loss.detach()))
        if known < KNOWN:
            break
    return np.asarray(push.detach().float().cpu().numpy(), np.float32)


def _rate(step: int) -> float:
    """Return the share of the highest rate: a line up, then half a cosine down."""
    rest = max(0.0, (step - WARM_UP) / (STEPS - WARM_UP))
    return min(1.0, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * rest)) / 2


@contextmanager
def _adding(local: LocalModel, layer: int, batch: Pack, push: Any, place: Any) -> Iterator[None]:
    """Add a vector, (width,), where each reply of a pack begins, while the block runs."""

    def hook(_: Any, given: Any, output: Any) -> Any:
        begins = batch.places[batch.counts.cumsum(0) - batch.counts]
        shares = (given[0][0, begins].float() @ place) ** 2
        return output.index_add(1, begins, (shares[:, None] * push)[None].to(output.dtype))

    handle = decoder_layers(local.model)[layer].mlp.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
