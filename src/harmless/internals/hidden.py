"""Hidden states of many conversations at some layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harmless.internals.chat import Encoded
from harmless.internals.layers import decoder, decoder_layers, state_of
from harmless.internals.model import LocalModel

Pool: TypeAlias = Literal["mean", "last", "both"]
"""Mean over the tokens before the reply, the last of them, or one behind the other (twice the width)."""

#: Tokens, padding included, in one call of the model.
BATCH_TOKENS = 2048


class _DeepEnoughError(Exception):
    """The deepest layer that was asked for has been seen; the rest of the model need not run."""


def states(
    local: LocalModel,
    encoded: Sequence[Encoded],
    layers: Sequence[int] | None = None,
    *,
    pool: Pool = "mean",
    observe: Callable[[int], None] = lambda _: None,
) -> NDArray[np.float32]:
    """Return pooled hidden states, of shape (conversations, layers, width), float32.

    Args:
        local: the model.
        encoded: the conversations; only what stands before the reply is read.
        layers: which, 0 is the embedding, i the output of the i-th layer, before the final norm.
            None means all. The model runs no deeper than the deepest of them.
        pool: how the tokens of a conversation become one vector.
        observe: gets the count of conversations done, after each batch.
    """
    import torch

    wanted = list(range(len(decoder_layers(local.model)) + 1)) if layers is None else list(layers)
    found: dict[int, NDArray[np.float32]] = {}
    for batch in _batches(encoded):
        rows = [encoded[i].tokens[: encoded[i].prompt] for i in batch]
        ids, mask = _padded(rows, local)
        with torch.inference_mode(), watching(local, wanted) as seen:
            _run(local, ids, mask)
        each = [_pooled(seen[layer], mask, pool).float().cpu().numpy() for layer in wanted]
        found |= zip(batch, np.stack(each, axis=1), strict=True)
        observe(len(found))
    if not encoded:
        return np.zeros((0, len(wanted), 0), np.float32)
    return np.stack([found[i] for i in range(len(encoded))])


@contextmanager
def watching(local: LocalModel, wanted: Sequence[int], *, stop: bool = True) -> Iterator[dict[int, Any]]:
    """Yield a mapping which each run of the model fills with the hidden states at the layers ``wanted``.

    States are tensors of shape (batch, tokens, width). With ``stop`` a run ends at the deepest of them by an
    exception that :func:`states` catches.
    """
    seen: dict[int, Any] = {}
    layers = decoder_layers(local.model)
    deepest = max(wanted, default=0)

    def keep(index: int) -> Callable[..., None]:
        def hook(_: Any, __: Any, output: Any) -> None:
            seen[index] = state_of(output)
            if stop and index == deepest:
                raise _DeepEnoughError

        return hook

    def first(_: Any, args: Any, kwargs: Any) -> None:
        seen[0] = args[0] if args else kwargs["hidden_states"]
        if stop and not deepest:
            raise _DeepEnoughError

    handles = [layers[i - 1].register_forward_hook(keep(i)) for i in set(wanted) if i]
    if 0 in wanted:
        handles.append(layers[0].register_forward_pre_hook(first, with_kwargs=True))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _run(local: LocalModel, ids: Any, mask: Any) -> None:
    try:
        decoder(local.model)(input_ids=ids, attention_mask=mask, use_cache=False)
    except _DeepEnoughError:
        return


def _batches(encoded: Sequence[Encoded]) -> Iterator[list[int]]:
    """Yield indices of conversations of about the same length, so that little is padding."""
    batch: list[int] = []
    for i in sorted(range(len(encoded)), key=lambda each: encoded[each].prompt):
        if batch and encoded[i].prompt * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _padded(rows: Sequence[Sequence[int]], local: LocalModel) -> tuple[Any, Any]:
    import torch

    width, pad = max(map(len, rows)), local.tokenizer.pad_token_id
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], device=local.device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=local.device)
    return ids, mask


def _pooled(state: Any, mask: Any, pool: Pool) -> Any:
    import torch

    weights = mask[..., None].to(state.dtype)
    mean = (state * weights).sum(1) / weights.sum(1)
    last = state[torch.arange(len(state)), mask.sum(1) - 1]
    return {"mean": lambda: mean, "last": lambda: last, "both": lambda: torch.cat([mean, last], dim=-1)}[pool]()
