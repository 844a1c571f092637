"""Greedy coordinate gradient: one token of a suffix is exchanged at a time, guided by the gradient.

Sources: Zou et al. 2023; the buffer of earlier suffixes is that of nanoGCG, the momentum Zhang and Wei 2024.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harmless.attacks.suffix.frame import Frame
from harmless.attacks.suffix.losses import Losses
from harmless.internals.model import LocalModel


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How a suffix is searched for.

    Args:
        length: of the suffix in tokens.
        width: candidates a step.
        top_k: tokens at each place that a candidate's new token is drawn from.
        buffer: how many suffixes are kept, of which the best is changed next; with 0 it is the best candidate
            of the step before, even if it is worse than its parent.
        momentum: share of the earlier gradients in the one that is followed.
    """

    length: int = 20
    width: int = 64
    top_k: int = 256
    buffer: int = 0
    momentum: float = 0.0


class Search:
    """The state of one search.

    Args:
        local: the model.
        frame: the conversation with a place for the suffix.
        allowed: which tokens may stand in it, of shape (vocabulary,); see :func:`printable`.
        options: how it is searched.
        seed: of the draws.

    Attributes:
        best: the suffix with the lowest loss so far.
        loss: its loss in nats a token; infinite before the first step.
        reached: the suffix that was changed last, if the most likely reply to it begins with the aim.
        evaluated: candidates whose loss was computed.
    """

    def __init__(
        self, local: LocalModel, frame: Frame, allowed: Any, options: SearchOptions, seed: int
    ) -> None:
        import torch

        self._frame, self._allowed, self._options = frame, allowed, options
        self._losses = Losses(local, frame)
        self._draws = torch.Generator().manual_seed(seed)
        self._gradient: Any = None
        self._buffer: list[tuple[float, list[int]]] = []
        self._current = self.best = list(frame.start)
        self.reached: list[int] | None = None
        self.loss, self.evaluated = float("inf"), 0

    def step(self) -> None:
        """Change the suffix once."""
        slope = self._losses.slope(self._current)
        self.reached = self._current if slope.reached else None
        if self.loss == float("inf"):
            self._keep(slope.loss, self._current)
        share = self._options.momentum if self._gradient is not None else 0.0
        self._gradient = (1 - share) * slope.gradient + (share * self._gradient if share else 0.0)
        drawn = self._drawn(self._gradient)
        candidates = [drawn[i] for i in self._frame.surviving(drawn)]
        if not candidates:
            return
        losses = self._losses.of(candidates, self._current)
        self.evaluated += len(candidates)
        least = min(range(len(losses)), key=losses.__getitem__)
        self._current = self._keep(losses[least], candidates[least])

    def _drawn(self, gradient: Any) -> list[list[int]]:
        """Return different candidates with one token changed each, evenly over the places."""
        import torch

        width, length = self._options.width, len(self._current)
        slopes = gradient.masked_fill(~self._allowed, float("inf"))
        best = slopes.topk(min(self._options.top_k, int(self._allowed.sum())), dim=1, largest=False).indices
        places = torch.arange(width) * length // width
        draws = torch.randint(best.shape[1], (width,), generator=self._draws)
        tokens = best.cpu()[places, draws].tolist()
        rows = [[*self._current] for _ in range(width)]
        for row, place, token in zip(rows, places.tolist(), tokens, strict=True):
            row[place] = token
        return [list(row) for row in dict.fromkeys(map(tuple, rows)) if list(row) != self._current]

    def _keep(self, loss: float, suffix: Sequence[int]) -> list[int]:
        """Take note of a suffix and return the one to change next."""
        if loss < self.loss:
            self.loss, self.best = loss, list(suffix)
        if not self._options.buffer:
            return list(suffix)
        insort(self._buffer, (loss, list(suffix)))
        del self._buffer[self._options.buffer :]
        return self._buffer[0][1]


def printable(local: LocalModel) -> Any:
    """Return which tokens are printable ASCII text and no special ones; bool, shape (embeddings,)."""
    import torch

    allowed = torch.zeros(local.model.get_input_embeddings().weight.shape[0], dtype=torch.bool)
    known = min(len(local.tokenizer), len(allowed))
    texts = local.tokenizer.batch_decode([[i] for i in range(known)], clean_up_tokenization_spaces=False)
    special = {*local.tokenizer.all_special_ids, *local.tokenizer.added_tokens_decoder}
    fitting = [i for i, text in enumerate(texts) if text.isascii() and text.isprintable() and text.strip()]
    allowed[[i for i in fitting if i not in special]] = True
    return allowed.to(local.device)
