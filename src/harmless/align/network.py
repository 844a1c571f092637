"""A local model run on packed trees: log-probabilities of replies, and short greedy replies to many prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from harmless.align.packing import Pack, Tokens, Tree, bins, pack, shared
from harmless.errors import UsageError
from harmless.internals.forward import last_states, logits
from harmless.internals.layers import bare
from harmless.internals.model import LocalModel, first_line

#: Tokens in one packed sequence, on a CPU and on a GPU; attention grows with their square (design/align.md).
ROOM = (384, 2048)

#: Prompts that are answered together. Each further token reads all weights once for all of them, so few prompts
#: take as long as many; attention to what the others say is computed in vain and grows with their square.
TOGETHER = 48

#: How far the log-probabilities of a pack may be from those of separate sequences, nats a token on average: in
#: float32, and in 16 bits.
NEAR = (1e-3, 0.25)

_TRIED = "Why is the sky blue in the morning, and black at night?"


def assert_packs(local: LocalModel, longest: int) -> None:
    """Stop if a model gives other log-probabilities to a pack than to separate sequences.

    ``longest`` is the length of prompts in tokens up to which it is tried where attention has a window.

    Raises:
        UsageError: they differ, as in models that know no positions or masks of one's own.
    """
    import torch

    words = tuple(local.tokenizer(_TRIED, add_special_tokens=False)["input_ids"])
    # Where no layer has a narrow window, length makes no difference, and takes time.
    prompt = (words * longest)[:longest] if _window(local) < longest else words
    trees = [Tree(prompt, (words[:3], words[-3:])), Tree(words[::-1], (words[:2],))]
    try:
        with torch.inference_mode():
            found = log_probabilities(local, pack(trees).to(local.device))
            alone = torch.cat([_alone(local, tree.prompt, each) for tree in trees for each in tree.replies])
        apart = float((found - alone).abs().mean())
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise _unfit(local, f"it fails with '{first_line(error)}'") from error
    if not apart < NEAR[local.model.dtype != torch.float32]:
        raise _unfit(local, f"log-probabilities are apart by {apart:.2g} nats a token")


def _window(local: LocalModel) -> float:
    return getattr(local.model.config.get_text_config(), "sliding_window", None) or math.inf


def _alone(local: LocalModel, prompt: Tokens, reply: Tokens) -> Any:
    import torch

    tokens = torch.tensor([prompt + reply], device=local.device)
    given = torch.log_softmax(local.model(input_ids=tokens).logits[0, len(prompt) - 1 : -1].float(), dim=-1)
    return given.gather(1, tokens[0, len(prompt) :, None])[:, 0]


def _unfit(local: LocalModel, why: str) -> UsageError:
    kind = local.model.config.model_type
    return UsageError(
        f"A {kind} model cannot be trained here: replies in one sequence are not what they are alone, {why}.",
        "Where it looks back through a window only, give a lower --longest; else take another model.",
    )


def room(local: LocalModel) -> int:
    """Return how many tokens one packed sequence should have at most."""
    return ROOM[not local.device.startswith("cpu")]


def log_probabilities(local: LocalModel, batch: Pack, states: Any = None) -> Any:
    """Return the log-probability of each reply token of a pack, float32, with gradient where it is on.

    ``states`` are what goes into the first layer in the place of the tokens' embeddings, (1, n, width).
    """
    found = distributions(local, before_replies(local, batch, states))
    return found.gather(1, batch.targets[:, None])[:, 0]


def before_replies(local: LocalModel, batch: Pack, states: Any = None) -> Any:
    """Return the last hidden states from which the reply tokens of a pack are predicted, (m, width)."""
    inputs = {"input_ids": batch.tokens} if states is None else {"inputs_embeds": states}
    return hidden_states(local, inputs, batch.positions, batch.mask)[batch.places]


def distributions(local: LocalModel, hidden: Any) -> Any:
    """Return the log-probabilities of all next tokens that hidden states give, float32, (m, vocabulary)."""
    import torch

    return torch.log_softmax(logits(local.model, hidden), dim=-1)


def own_tokens(batch: Pack) -> Any:
    """Return which reply tokens of a pack are of first replies that are the model's own, bool (m,)."""
    each = len(batch.counts) // len(batch.own)
    return batch.own[batch.replies // each] & (batch.replies % each == 0)


def divergence(local: LocalModel, before: Any, now: Any) -> Any:
    """Return how far the model has moved at each token (Kullback-Leibler, nats), (m,).

    Args:
        local: the model.
        before: last hidden states of the model before, (m, width).
        now: what :func:`distributions` gives now.
    """
    import torch

    was = distributions(local, before)
    return torch.nn.functional.kl_div(now, was, log_target=True, reduction="none").sum(-1)


def summed(values: Any, batch: Pack) -> Any:
    """Return the sum of token values in each reply."""
    return values.new_zeros(len(batch.counts)).index_add(0, batch.replies, values)


def deciding(values: Any, batch: Pack) -> Any:
    """Return the sum of token values in each reply as far as it decides which one it is."""
    import torch

    ends = batch.counts.cumsum(0)
    at = torch.arange(len(values), device=values.device) - (ends - batch.counts)[batch.replies]
    return summed(values * (at < batch.decided[batch.replies]), batch)


def greedy(local: LocalModel, prompts: Sequence[Tokens], count: int) -> list[Tokens]:
    """Return the model's greedy reply to each prompt, at most ``count`` tokens, up to the mark of its end."""
    import torch

    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found: dict[int, Tokens] = {}
    with torch.inference_mode():
        for start in range(0, len(order), TOGETHER):
            chosen = order[start : start + TOGETHER]
            found |= zip(chosen, _spoken(local, [prompts[i] for i in chosen], count), strict=True)
    return [found[i] for i in range(len(prompts))]


def _spoken(local: LocalModel, prompts: Sequence[Tokens], count: int) -> list[Tokens]:
    """Return greedy replies to prompts that share one cache of keys and values."""
    import torch

    cache, mask, at, hidden = _read(local, prompts)
    replies, alone = [], torch.eye(len(prompts), dtype=torch.bool, device=mask.device)
    for step in range(count):
        replies.append(logits(local.model, hidden).argmax(-1))
        if step + 1 == count:
            break
        mask = torch.cat([mask, alone], dim=1)
        said = {"input_ids": replies[-1][None]}
        hidden = hidden_states(local, said, (at + step + 1)[None], mask[None, None], cache)
    ends = _ends(local)
    rows = torch.stack(replies, dim=1).tolist()
    return [tuple(row[: next((i for i, t in enumerate(row) if t in ends), count)]) for row in rows]


def _read(local: LocalModel, prompts: Sequence[Tokens]) -> tuple[Any, Any, Any, Any]:
    """Return the cache of prompts, what of it each attends to, its last place and its hidden state there."""
    import torch
    from transformers import DynamicCache

    caches, masks, places, states = [], [], [], []
    common = shared(prompts)
    for group in bins([len(prompt) - common for prompt in prompts], room(local) - common):
        # The one token behind each prompt is not read: its place is where the prompt's own last token speaks.
        batch = pack([Tree(prompts[i], ((0,),)) for i in group]).to(local.device)
        caches.append(DynamicCache())
        hidden = hidden_states(local, {"input_ids": batch.tokens}, batch.positions, batch.mask, caches[-1])
        masks.append(batch.mask[0, 0][batch.places])
        places.append(batch.positions[0, batch.places])
        states.append(hidden[batch.places])
    merged = DynamicCache()
    for i, parts in enumerate(zip(*(cache.layers for cache in caches), strict=True)):
        merged.update(
            torch.cat([part.keys for part in parts], dim=2),
            torch.cat([part.values for part in parts], dim=2),
            i,
        )
    return merged, torch.block_diag(*masks), torch.cat(places), torch.cat(states)


def hidden_states(
    local: LocalModel, inputs: dict[str, Any], positions: Any, mask: Any, cache: Any = None
) -> Any:
    """Return the last hidden states of a packed sequence, (n, width)."""
    return last_states(local.model, inputs, positions, mask, cache)[0]


def _ends(local: LocalModel) -> set[int]:
    found = bare(local.model).generation_config.eos_token_id
    tokens = {found} if isinstance(found, int) else set(found or ())
    return tokens | {local.tokenizer.eos_token_id}
