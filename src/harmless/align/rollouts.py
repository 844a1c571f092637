"""Sampled replies of a model that is being trained: many to each prompt, in one packed sequence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from harmless.align.lora import speaking
from harmless.align.network import hidden_states
from harmless.align.packing import Tokens, Tree, pack
from harmless.internals.forward import logits
from harmless.internals.model import LocalModel

#: Tokens that one is drawn from at most: to sort them all takes longer than the model does.
MOST = 256


@dataclass(frozen=True, slots=True)
class Drawing:
    """How replies are drawn: so many to a prompt, of so many tokens, each ending with one of ``ends``."""

    draws: int
    tokens: int
    ends: Collection[int]
    temperature: float = 1.0
    top_p: float = 0.95


@dataclass(slots=True)
class _Rows:
    """Replies under way: which they are, what each attends to, where it stands, and what it said so far."""

    numbers: Any
    mask: Any
    places: Any
    said: list[list[int]] = field(default_factory=list)


def sampled(local: LocalModel, prompts: Sequence[Tokens], how: Drawing, seed: int) -> list[tuple[Tokens, ...]]:
    """Return ``how.draws`` replies to each prompt, the last token of each an end unless it was cut.

    What is drawn follows from weights, prompts and seed. A prompt is read once for all its replies.
    """
    import torch
    from transformers import DynamicCache

    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode(), speaking(local):
        # The one token behind each prompt is not read: its place is where the prompt's own last token speaks.
        batch = pack([Tree(prompt, ((0,),)) for prompt in prompts]).to(local.device)
        cache = DynamicCache()
        hidden = hidden_states(local, {"input_ids": batch.tokens}, batch.positions, batch.mask, cache)
        at = batch.places.repeat_interleave(how.draws)
        rows = _Rows(torch.arange(len(at)), batch.mask[0, 0][at], batch.positions[0, at], [[] for _ in at])
        hidden = hidden[at]
        for step in range(how.tokens):
            tokens = _drawn(logits(local.model, hidden), how, generator)
            going = _said(rows, tokens, how.ends)
            if not going.any() or step + 1 == how.tokens:
                break
            _keep(rows, going)
            said = {"input_ids": tokens[going][None].to(local.device)}
            hidden = hidden_states(local, said, rows.places[None], rows.mask[None, None], cache)
    replies = iter(rows.said)
    return [tuple(tuple(next(replies)) for _ in range(how.draws)) for _ in prompts]


def _said(rows: _Rows, tokens: Any, ends: Collection[int]) -> Any:
    """Note what each row said, and return which rows go on."""
    import torch

    values = tokens.tolist()
    for number, token in zip(rows.numbers.tolist(), values, strict=True):
        rows.said[number].append(token)
    return torch.tensor([token not in ends for token in values])


def _keep(rows: _Rows, going: Any) -> None:
    """Leave out the rows that ended, and let each of the others attend to its newest token."""
    import torch

    rows.numbers = rows.numbers[going]
    here = going.to(rows.mask.device)
    own = torch.eye(int(going.sum()), dtype=torch.bool, device=here.device)
    rows.mask = torch.cat([rows.mask[here], own], dim=1)
    rows.places = rows.places[here] + 1


def _drawn(logits: Any, how: Drawing, generator: Any) -> Any:
    """Return one token a row, from the fewest likely ones that hold ``top_p`` of the probability."""
    import torch

    likely = torch.softmax(logits / how.temperature, dim=-1)
    values, order = (each.cpu() for each in likely.topk(min(MOST, likely.shape[-1])))
    values = values.masked_fill(values.cumsum(-1) - values >= how.top_p, 0.0)
    return order.gather(1, torch.multinomial(values, 1, generator=generator))[:, 0]
