"""Texts that a model writes when it is asked nothing: what it gives to each next word of them is held.

They are where training, which looks at prompts and replies only, does its damage unseen. The model writes them
itself, each from one random token on (Liu et al. 2023, LLM-QAT): no text has to be brought along, and they are
as what it learned from was.
"""

from __future__ import annotations

from typing import Any

from harmless.align import network
from harmless.align.before import States
from harmless.align.lora import speaking
from harmless.align.packing import Tokens, Tree
from harmless.align.upper import Upper
from harmless.internals.model import LocalModel

#: How many texts, of how many tokens each.
COUNT, LENGTH = 96, 64
#: Texts that are written at once, when the first of them is needed; and that are looked at in one step.
TOGETHER, STEP = 48, 1


class Plain:
    """How far a model with adapters is from the model without them, on texts that this one writes.

    Args:
        local: the model.
        first_layer: the first layer that has an adapter; those below it run once.
        seed: of the texts.
    """

    def __init__(self, local: LocalModel, first_layer: int, seed: int) -> None:
        self._local, self._first, self._seed = local, first_layer, seed
        self._states: dict[int, States] = {}

    def divergence(self, step: int) -> Any:
        """Return the mean divergence a token from the model before (nats), with gradient.

        It is that of the texts whose turn it is in this step.
        """
        batch, place = divmod(step * STEP % COUNT, TOGETHER)
        states = self._of(batch)
        chosen = range(place, place + STEP)
        before = states.of(chosen)
        now = network.distributions(self._local, states.now(*states.packed(chosen)))
        return network.divergence(self._local, before, now).mean()

    def _of(self, batch: int) -> States:
        if batch not in self._states:
            with self._local.model.disable_adapter():
                texts = written(self._local, self._seed + batch, TOGETHER, LENGTH)
            trees = [Tree(text[:1], (text[1:],), own=True) for text in texts]
            upper = Upper(self._local, trees, self._first) if self._first else None
            self._states[batch] = States(self._local, trees, upper)
        return self._states[batch]


def written(local: LocalModel, seed: int, count: int, length: int) -> list[Tokens]:
    """Return ``count`` texts of ``length`` tokens that the model writes, sampled as it finds them likely."""
    import torch

    with torch.inference_mode(), torch.random.fork_rng(), speaking(local):
        torch.manual_seed(seed)
        first = torch.randint(len(local.tokenizer), (count, 1)).to(local.device)
        rows = local.model.generate(
            input_ids=first,
            attention_mask=torch.ones_like(first),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            min_new_tokens=length - 1,
            max_new_tokens=length - 1,
        )
    return [tuple(row) for row in rows.tolist()]
