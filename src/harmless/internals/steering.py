"""Directions in a model's hidden states: found as a difference of means, added or taken away while it runs.

Sources: Arditi et al. 2024 (refusal is mediated by a single direction), Turner et al. 2023 (activation
addition).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmless.errors import BadFileError
from harmless.internals.layers import decoder_layers, state_of
from harmless.internals.model import LocalModel

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Steering:
    """What is added to the hidden states of a model: ``vectors`` by layer, 1 being the first."""

    vectors: Mapping[int, Vector]

    def save(self, path: Path) -> None:
        """Write it as an npz file without pickles."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **{f"layer_{i}": each for i, each in self.vectors.items()})

    @classmethod
    def load(cls, path: Path) -> Steering:
        """Return what a file holds; BadFileError if that is no steering."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls({int(name.removeprefix("layer_")): file[name] for name in file.files})
        except (OSError, ValueError, EOFError) as error:
            raise BadFileError(
                path,
                f"This holds no steering: {error}.",
                next_step="Make one: harmless align steer TARGET",
            ) from None


def difference_in_means(those: Vector, others: Vector) -> Vector:
    """Return the mean of ``those`` less the mean of ``others``; of shape (width,)."""
    found: Vector = (those.mean(axis=0) - others.mean(axis=0)).astype(np.float32)
    return found


@contextmanager
def adding(local: LocalModel, vectors: Mapping[int, Vector]) -> Iterator[None]:
    """Add each vector to the output of its layer (1 is the first), at every token, while the context lasts."""
    with _editing(local, {layer: _adder(local, vector) for layer, vector in vectors.items()}):
        yield


@contextmanager
def ablating(local: LocalModel, direction: Vector) -> Iterator[None]:
    """Take the part along ``direction`` out of the residual stream while the context lasts.

    It is taken out wherever it is read: of the embeddings, of each layer's output, and of what the norms within
    a layer read. That is as if no embedding, attention or MLP wrote along it (Arditi et al. 2024).

    Raises:
        ValueError: the direction is zero.
    """
    layers = decoder_layers(local.model)
    edit = _remover(local, direction)
    norms = [each for layer in layers for each in layer.children() if "norm" in type(each).__name__.lower()]
    handles = [each.register_forward_pre_hook(_reading(edit), with_kwargs=True) for each in (layers[0], *norms)]
    try:
        with _editing(local, dict.fromkeys(range(1, len(layers) + 1), edit)):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _reading(edit: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a hook that edits the states a module is given."""

    def changed(_: Any, args: Any, kwargs: Any) -> Any:
        if args:
            return (edit(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": edit(kwargs["hidden_states"])}

    return changed


def _adder(local: LocalModel, vector: Vector) -> Callable[[Any], Any]:
    import torch

    added = torch.as_tensor(vector, device=local.device)
    return lambda state: state + added.to(state.dtype)


def _remover(local: LocalModel, direction: Vector) -> Callable[[Any], Any]:
    import torch

    length = float(np.linalg.norm(direction))
    if not length:
        raise ValueError("a direction of length zero points nowhere")
    unit = torch.as_tensor(direction / length, device=local.device)
    return lambda state: state - (state @ unit.to(state.dtype))[..., None] * unit.to(state.dtype)


@contextmanager
def _editing(local: LocalModel, edits: Mapping[int, Callable[[Any], Any]]) -> Iterator[None]:
    layers = decoder_layers(local.model)

    def hook(edit: Callable[[Any], Any]) -> Callable[..., Any]:
        def changed(_: Any, __: Any, output: Any) -> Any:
            state = edit(state_of(output))
            return (state, *output[1:]) if isinstance(output, tuple) else state

        return changed

    handles = [layers[layer - 1].register_forward_hook(hook(edit)) for layer, edit in edits.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
