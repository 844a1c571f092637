"""How strongly adapters act, set after training by what they make the model refuse."""

from __future__ import annotations

from collections.abc import Sequence

from harmless.align.examples import Example
from harmless.align.frontier import measure
from harmless.align.lora import parameters
from harmless.internals.model import LocalModel

#: Strengths that are looked at, and how many are tried; 1 is what the training gave.
WEAKEST, STRONGEST, TRIED = 0.5, 1.5, 5


async def set_strength(local: LocalModel, benign: Sequence[Example], tolerated: float) -> float:
    """Scale the adapters to the greatest strength at which at most ``tolerated`` of benign prompts are refused.

    A training decides well which prompts are worse than others before it knows where to draw the line: the line
    wanders from step to step by more than the ranking does. Scaled adapters move the line and keep the ranking.
    Halves the interval of strengths; returns the strength.

    Args:
        local: a model with adapters, which are changed.
        benign: prompts that are not trained on.
        tolerated: share of them.
    """
    strength, low, high = 1.0, WEAKEST, STRONGEST
    kept = low
    for _ in range(TRIED):
        found = await measure(local, benign)
        if found.over_refused <= tolerated * found.benign:
            kept = low = strength
        else:
            high = strength
        after = (low + high) / 2
        _scale(local, after / strength)
        strength = after
    _scale(local, kept / strength)
    return kept


def _scale(local: LocalModel, factor: float) -> None:
    """Multiply what the adapters add to the weights."""
    import torch

    with torch.no_grad():
        for name, each in parameters(local).items():
            if ".lora_B." in name:
                each.mul_(factor)
