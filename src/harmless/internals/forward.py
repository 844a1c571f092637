"""Parts of a forward pass: a decoder under a mask of one's own, and what its last hidden states give."""

from __future__ import annotations

import inspect
from typing import Any

from harmless.internals.layers import bare, decoder


def last_states(model: Any, inputs: dict[str, Any], positions: Any, mask: Any, cache: Any = None) -> Any:
    """Return the last hidden states of tokens that attend to certain others only, (batch, n, width).

    Args:
        model: of transformers, or a peft model around one.
        inputs: the tokens as ``input_ids``, or their states as ``inputs_embeds``.
        positions: place of each token, (batch, n).
        mask: which token (row) attends to which (column), bool (batch, 1, n, all).
        cache: keys and values of tokens before; takes those of these tokens, too.
    """
    inner = decoder(model)
    # transformers 5.2x renamed the argument, and warns of the old name.
    name = "cache" if "cache" in inspect.signature(inner.forward).parameters else "past_key_values"
    output = inner(
        **inputs,
        position_ids=positions,
        attention_mask=_as_read(model, mask),
        use_cache=cache is not None,
        **{name: cache},
    )
    return output.last_hidden_state


def logits(model: Any, states: Any) -> Any:
    """Return the logits that last hidden states give, float32: (..., width) to (..., vocabulary).

    The model's own forward is run with the states in the place of its decoder, as many families scale or cap
    what their head gives.
    """
    inner, whole = decoder(model), bare(model)
    found = states if states.dim() == 3 else states[None]
    own = vars(inner).get("forward")
    inner.forward = lambda *_, **__: _Decoded((found,))
    try:
        made = whole(inputs_embeds=found, use_cache=False).logits.float()
    finally:
        del inner.forward
        if own is not None:
            inner.forward = own
    return made if states.dim() == 3 else made[0]


class _Decoded(tuple[Any, ...]):
    """What a decoder returns: its last hidden states, and nothing else."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return self[0] if name == "last_hidden_state" else None


def _as_read(model: Any, mask: Any) -> Any:
    """Return a mask as the model's attention reads it: most add it to the scores, and would add 0 and 1."""
    import torch

    if bare(model).config._attn_implementation == "sdpa":
        return mask
    dtype = bare(model).dtype
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)
