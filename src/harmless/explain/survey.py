"""One pass of a model over many prompts: their states at every layer, and how it leans to refuse each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmless.core import Conversation
from harmless.explain.question import Question
from harmless.explain.trie import hidden, room, sheaves, sums
from harmless.internals.chat import encode
from harmless.internals.forward import logits
from harmless.internals.hidden import watching
from harmless.internals.layers import decoder, decoder_layers
from harmless.internals.model import LocalModel

#: Names of the norm that stands before the head in decoder-only models.
_NORMS = ("norm", "final_layernorm", "final_layer_norm", "ln_f")


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen behind each of n prompts, at the last token before the reply.

    Attributes:
        states: (n, layers + 1, width), float32; 0 is the embedding.
        values: the measure of the question, (n,).
        lens: where it was asked for, the log-odds (nats) that the logit lens gives to the first tokens of the
            question's endings at each layer, (n, layers + 1), and the token it gives most, as ids.
    """

    states: NDArray[np.float32]
    values: NDArray[np.float64]
    lens: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None


def survey(
    local: LocalModel,
    conversations: Sequence[Conversation],
    question: Question,
    *,
    lens: bool = False,
    observe: Callable[[int], None] = lambda _: None,
) -> Survey:
    """Return what a model holds and does behind conversations.

    ``observe`` gets the count of those done. The lens reads each state through the final norm and the head
    (nostalgebraist 2020).
    """
    import torch

    prompts = [encode(local, each).tokens for each in conversations]
    layers = list(range(len(decoder_layers(local.model)) + 1))
    states: dict[int, NDArray[np.float32]] = {}
    values: dict[int, float] = {}
    odds: dict[int, tuple[NDArray[np.float64], NDArray[np.int64]]] = {}
    first = sorted({ending[0] for ending in question.endings})
    with torch.inference_mode():
        for sheaf in sheaves(prompts, question.endings, room(local)):
            with watching(local, layers, stop=False) as seen:
                last = hidden(local, sheaf.trie)
            found = question.value(sums(local, sheaf, last))[0]
            ends = [path[-1] for path in sheaf.paths]
            each = torch.stack([seen[layer][0, ends] for layer in layers], dim=1).float()
            states |= zip(sheaf.members, each.cpu().numpy(), strict=True)
            values |= zip(sheaf.members, found.tolist(), strict=True)
            if lens:
                odds |= zip(sheaf.members, (_lens(local, one, first) for one in each), strict=True)
            observe(len(values))
    order = range(len(prompts))
    return Survey(
        np.stack([states[i] for i in order]),
        np.array([values[i] for i in order]),
        (np.stack([odds[i][0] for i in order]), np.stack([odds[i][1] for i in order])) if lens else None,
    )


def _lens(local: LocalModel, states: Any, first: list[int]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    import torch

    inner = decoder(local.model)
    norm = next((getattr(inner, name) for name in _NORMS if hasattr(inner, name)), lambda state: state)
    chances = torch.log_softmax(logits(local.model, norm(states.to(local.model.dtype))), dim=-1)
    held = torch.logsumexp(chances[:, first], dim=-1).clamp(max=-1e-6)
    odds = held - torch.log(-torch.expm1(held))
    return odds.double().cpu().numpy(), chances.argmax(-1).cpu().numpy()
