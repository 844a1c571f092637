"""What a model gave to replies before it was trained: losses compare with it, and its own are held to it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmless.align import network
from harmless.align.lora import speaking
from harmless.align.packing import Pack, Tree, bins, pack
from harmless.align.settings import Tuning
from harmless.align.upper import Upper, reference
from harmless.internals.model import LocalModel


class Before:
    """Log-probabilities of replies under the model without what is trained.

    Adapters are taken off for it, so that each reply is asked when it is first needed. Where all weights are
    trained, all replies are asked before, and kept in a file for a training that goes on.

    Args:
        local: the model, not trained yet where all weights are to be.
        trees: what is trained on.
        tuning: whether all weights are trained.
        upper: saves running the lower layers.
        path: the file.
    """

    def __init__(
        self, local: LocalModel, trees: Sequence[Tree], tuning: Tuning, upper: Upper | None, path: Path
    ) -> None:
        self._local, self._trees, self._upper = local, trees, upper
        self._full = tuning.weights == "full"
        self._known: dict[int, list[float]] = dict(enumerate(self._kept(path))) if self._full else {}

    def of(self, chosen: Sequence[int]) -> NDArray[np.float32]:
        """Return what the model gave to the replies of trees by number, summed, in nats: (trees, replies)."""
        missing = [i for i in chosen if i not in self._known]
        if missing:
            self._known |= zip(missing, self._asked(missing), strict=True)
        return np.array([self._known[i] for i in chosen], np.float32)

    def _asked(self, chosen: Sequence[int]) -> list[list[float]]:
        without = nullcontext() if self._full else self._local.model.disable_adapter()
        with speaking(self._local), without:
            return reference(self._local, self._trees, self._upper, chosen)

    def _kept(self, path: Path) -> list[list[float]]:
        if not path.is_file():
            part = path.with_name(f".{path.name}")
            np.save(part, np.asarray(self._asked(range(len(self._trees))), np.float32))
            part.replace(path)
        found: list[list[float]] = np.load(path).tolist()
        return found


class States:
    """Last hidden states before the tokens of own replies, of the model without its adapters.

    Args:
        local: the model, with adapters.
        trees: what is trained on, or held.
        upper: saves running the lower layers.
    """

    def __init__(self, local: LocalModel, trees: Sequence[Tree], upper: Upper | None) -> None:
        self._local, self._trees, self._upper = local, trees, upper
        self._known: dict[int, Any] = {}

    def of(self, chosen: Sequence[int]) -> Any:
        """Return those of trees by number, behind one another, (m, width); at least one of them is own."""
        import torch

        wanted = [i for i in chosen if self._trees[i].own]
        missing = [i for i in wanted if i not in self._known]
        with torch.no_grad(), speaking(self._local), self._local.model.disable_adapter():
            for group in bins([self._trees[i].size for i in missing], network.room(self._local)):
                these = [missing[i] for i in group]
                batch, states = self.packed(these)
                hidden = self.now(batch, states)[network.own_tokens(batch)]
                counts = [len(self._trees[i].replies[0]) for i in these]
                self._known |= zip(these, hidden.split(counts), strict=True)
        return torch.cat([self._known[i] for i in wanted])

    def packed(self, chosen: Sequence[int]) -> tuple[Pack, Any]:
        """Return trees by number as a pack, and what goes into the upper layers where these run alone."""
        if self._upper:
            return self._upper.packed(chosen)
        return pack([self._trees[i] for i in chosen]).to(self._local.device), None

    def now(self, batch: Pack, states: Any) -> Any:
        """Return the last hidden states before all reply tokens of a pack, as the model is now."""
        if self._upper:
            return self._upper.before_replies(batch, states)
        return network.before_replies(self._local, batch)
