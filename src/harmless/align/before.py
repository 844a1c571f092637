"""What a model gave to replies before it was trained, which some losses compare with."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harmless.align.lora import speaking
from harmless.align.packing import Tree
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
