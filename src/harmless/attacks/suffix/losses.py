"""How unlikely the beginning of a reply is behind many suffixes at once, and which tokens would change that.

What suffixes share with the one that they are derived from is computed once (keys and values are kept), so a
candidate costs only the tokens from its first changed one on: on average half the suffix less than with a cache
of what stands before it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from harmless.attacks.suffix.frame import Frame
from harmless.internals.layers import bare
from harmless.internals.model import LocalModel

#: Tokens in one call of the model, on a CPU and on other devices.
_TOKENS, _TOKENS_ELSEWHERE = 2048, 32768

Layers: TypeAlias = list[tuple[Any, Any]]
"""Keys and values of each layer, of shape (1, heads, tokens, width)."""


class Slope(NamedTuple):
    """The loss of a suffix, whether the aim is what is most likely, and the gradient, (length, vocabulary)."""

    loss: float
    reached: bool
    gradient: Any


class Losses:
    """Cross-entropy of a frame's aim, in nats a token.

    Args:
        local: the model.
        frame: the conversation with a place for a suffix.
    """

    def __init__(self, local: LocalModel, frame: Frame) -> None:
        self._local, self._frame = local, frame
        known = inspect.signature(bare(local.model).forward).parameters
        self._few = "logits_to_keep" in known
        self._cached = "cache" if "cache" in known else "past_key_values"  # its name before transformers 5.24
        self._tokens = _TOKENS if local.device == "cpu" else _TOKENS_ELSEWHERE
        self._behind = self._ids([*frame.tail, *frame.aim[:-1]])[0]
        self._aim = self._ids(frame.aim)[0]
        self._longest = len(frame.head) + len(frame.start) + len(self._behind)
        self._head = self._kept(frame.head, [])

    def of(self, suffixes: Sequence[Sequence[int]], near: Sequence[int]) -> list[float]:
        """Return the loss of each suffix; they are alike to ``near`` where they begin."""
        import torch

        kept = self._kept(near, self._head) if self._head else []
        shared = [_shared(each, near) if kept else 0 for each in suffixes]
        found = [0.0] * len(suffixes)
        with torch.no_grad():
            for batch in self._batches(shared, len(near)):
                most = min(shared[i] for i in batch)
                rows = self._ids([suffixes[i] for i in batch])[:, most:]
                losses = self._losses(rows, kept, most)
                for i, loss in zip(batch, losses.tolist(), strict=True):
                    found[i] = loss
        return found

    def slope(self, suffix: Sequence[int]) -> Slope:
        """Return the loss of one suffix and its gradient with respect to each token that could stand in it."""
        import torch

        embed = self._local.model.get_input_embeddings()
        before = [] if self._head else self._frame.head
        with torch.enable_grad():
            mine = embed(self._ids(suffix)).detach().requires_grad_()
            fixed = [embed(self._ids(before))] if before else []
            inputs = torch.cat([*fixed, mine, embed(self._behind[None])], dim=1)
            logits = self._logits(self._cache(self._head, len(self._frame.head), 1), inputs_embeds=inputs)
            loss = torch.nn.functional.cross_entropy(logits[0], self._aim)
            (slope,) = torch.autograd.grad(loss, mine)
        reached = bool((logits[0].argmax(-1) == self._aim).all())
        with torch.no_grad():
            return Slope(loss.item(), reached, (slope[0] @ embed.weight.T).float())

    def _losses(self, rows: Any, kept: Layers, most: int) -> Any:
        """Return the losses of suffixes, of which ``most`` tokens are in what is kept already."""
        import torch

        count = len(rows)
        if not kept:
            rows = torch.cat([self._ids(self._frame.head).expand(count, -1), rows], dim=1)
        ids = torch.cat([rows, self._behind.expand(count, -1)], dim=1)
        logits = self._logits(self._cache(kept, len(self._frame.head) + most, count), input_ids=ids)
        return torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), self._aim.expand(count, -1), reduction="none"
        ).mean(1)

    def _logits(self, cache: Any, **inputs: Any) -> Any:
        """Return the logits that predict the aim, of shape (rows, tokens of the aim, vocabulary)."""
        few = {"logits_to_keep": len(self._aim)} if self._few else {}
        further = {self._cached: cache, "use_cache": cache is not None}
        made = self._local.model(**inputs, **few, **further)
        return made.logits[:, -len(self._aim) :].float()

    def _kept(self, ids: Sequence[int], before: Layers) -> Layers:
        """Return keys and values of ``before`` and of ``ids`` behind it; none if it keeps other things."""
        import torch
        from transformers import DynamicCache

        cache = self._cache(before, len(self._frame.head), 1)
        # By its configuration a model may keep other things, such as the states of a recurrent layer.
        cache = DynamicCache(config=self._local.model.config) if cache is None else cache
        with torch.no_grad():
            self._local.model(input_ids=self._ids(ids), **{self._cached: cache, "use_cache": True})
        if not cache.layers or any(_forgets(each, self._longest) for each in cache.layers):
            return []
        return [(each.keys, each.values) for each in cache.layers]

    def _cache(self, kept: Layers, tokens: int, rows: int) -> Any:
        """Return a cache that begins with so many of the tokens that are kept, for so many rows."""
        from transformers import DynamicCache

        if not kept:
            return None
        cache = DynamicCache()
        for i, (keys, values) in enumerate(kept):
            parts = (each[:, :, :tokens].expand(rows, -1, -1, -1) for each in (keys, values))
            cache.update(*parts, i)
        return cache

    def _batches(self, shared: Sequence[int], length: int) -> Iterator[list[int]]:
        """Yield places of suffixes, those together that share about as much."""
        batch: list[int] = []
        for i in sorted(range(len(shared)), key=lambda each: -shared[each]):
            each = length - shared[i] + len(self._behind) + (0 if self._head else len(self._frame.head))
            if batch and (len(batch) + 1) * each > self._tokens:
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    def _ids(self, ids: Any) -> Any:
        import torch

        found = torch.as_tensor(ids, dtype=torch.long, device=self._local.device)
        return found[None] if found.ndim == 1 else found


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))


def _forgets(layer: Any, tokens: int) -> bool:
    """Return whether a layer of a cache keeps something else than the keys and values of so many tokens."""
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    window = isinstance(layer, DynamicSlidingWindowLayer) and tokens < layer.sliding_window
    return not window and type(layer) is not DynamicLayer
