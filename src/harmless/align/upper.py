"""Train upper layers only, on what the layers below give once: they do not change, so they need not run again.

With a third of the layers trained a step costs a third, and the backward pass ends where the adapters do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from harmless.align.network import before_replies, deciding, hidden_states, log_probabilities, room
from harmless.align.packing import Pack, Tree, bins, pack, shared
from harmless.errors import UsageError
from harmless.internals.hidden import watching
from harmless.internals.layers import decoder, decoder_layers
from harmless.internals.model import LocalModel

#: How far log-probabilities may be apart from those of the whole model, in nats.
NEAR = 1e-2


class Upper:
    """The layers of a model from one on, and the states of trees that go into them.

    Args:
        local: the model.
        trees: what is going to be asked.
        first_layer: the states are what goes into this layer.

    Raises:
        UsageError: the model's layers cannot be run apart.
    """

    def __init__(self, local: LocalModel, trees: Sequence[Tree], first_layer: int) -> None:
        self._local, self._trees, self._first = local, trees, first_layer
        self.common = shared([tree.prompt for tree in trees])
        self._prefix: Any = None
        self._states: dict[int, Any] = {}
        self._check()

    def packed(self, chosen: Sequence[int]) -> tuple[Pack, Any]:
        """Return trees by number as a pack, and their states, (1, n, width); computed when first asked for."""
        import torch

        missing = [i for i in chosen if i not in self._states]
        for group in bins([self._trees[i].size - self.common for i in missing], room(self._local)):
            self._fill([missing[i] for i in group])
        batch = pack([self._trees[i] for i in chosen], self.common).to(self._local.device)
        return batch, torch.cat([self._prefix, *(self._states[i] for i in chosen)])[None]

    def log_probabilities(self, batch: Pack, states: Any) -> Any:
        """Return what :func:`harmless.align.network.log_probabilities` does, by the upper layers alone."""
        with only(self._local, slice(self._first, None)):
            return log_probabilities(self._local, batch, states)

    def before_replies(self, batch: Pack, states: Any) -> Any:
        """Return what :func:`harmless.align.network.before_replies` does, by the upper layers alone."""
        with only(self._local, slice(self._first, None)):
            return before_replies(self._local, batch, states)

    def _fill(self, group: Sequence[int]) -> None:
        import torch

        batch = pack([self._trees[i] for i in group], self.common).to(self._local.device)
        below = slice(0, self._first)
        with (
            torch.inference_mode(),
            watching(self._local, [self._first], stop=False) as seen,
            only(self._local, below),
        ):
            hidden_states(self._local, {"input_ids": batch.tokens}, batch.positions, batch.mask)
        # A tensor of inference mode may not take part in training; its clone may.
        states = seen[self._first][0]
        self._prefix = states[: self.common].clone() if self._prefix is None else self._prefix
        at = self.common
        for i in group:
            tree = self._trees[i]
            size = len(tree.prompt) - self.common + sum(len(reply) - 1 for reply in tree.replies)
            self._states[i] = states[at : at + size].clone()
            at += size

    def _check(self) -> None:
        import torch

        batch, states = self.packed([0])
        with torch.no_grad():
            apart = self.log_probabilities(batch, states) - log_probabilities(self._local, batch)
        if not float(apart.abs().max()) < NEAR:
            raise UsageError(
                f"The layers of a {self._local.model.config.model_type} model cannot be run apart.",
                "Give --frozen 0.",
            )


def reference(
    local: LocalModel,
    trees: Sequence[Tree],
    upper: Upper | None = None,
    chosen: Sequence[int] | None = None,
) -> list[list[float]]:
    """Return what the model gives to each reply of each tree, summed over the tokens that decide, in nats.

    ``upper`` saves running the lower layers; ``chosen`` are the numbers of the trees that are asked, None for
    all.
    """
    import torch

    numbers = range(len(trees)) if chosen is None else chosen
    found: list[list[float]] = []
    with torch.no_grad():
        for group in bins([trees[i].size for i in numbers], room(local)):
            these = [numbers[i] for i in group]
            if upper is None:
                batch = pack([trees[i] for i in these]).to(local.device)
                values = log_probabilities(local, batch)
            else:
                batch, states = upper.packed(these)
                values = upper.log_probabilities(batch, states)
            sums = iter(deciding(values, batch).tolist())
            found += [[next(sums) for _ in trees[i].replies] for i in these]
    return found


@contextmanager
def only(local: LocalModel, chosen: slice) -> Iterator[None]:
    """Run some of the model's layers while the block runs."""
    import torch

    model, layers = decoder(local.model), decoder_layers(local.model)
    whole = model.layers
    model.layers = torch.nn.ModuleList(layers[chosen])
    try:
        yield
    finally:
        model.layers = whole
