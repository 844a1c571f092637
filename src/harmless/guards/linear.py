"""Linear models over hashed features: scoring, and the artefact they are stored in.

An artefact is ``NAME.npz`` (arrays only, read with ``allow_pickle=False``) beside ``NAME.json`` (what it was
trained on, thresholds, measured quality). Weights are int8, companded: ``w = sign(q) * (q / 127)**2 * scale``,
which keeps small weights that a linear step would round away.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmless.errors import BadFileError
from harmless.guards.features import Features

IDF_STEP = 1 / 16
FORMAT = 1


@dataclass(frozen=True)
class LinearModel:
    """Weights of several heads over one table of hashed columns.

    ``idf`` is (columns,) and ``weights`` (heads, columns), both float32; ``bias`` is (heads,); ``dense`` is
    (heads, k) for ``k`` extra columns that are not hashed. ``damping`` is added under the root of the norm:
    a text with little evidence stays near the bias, so an unknown short word is not flagged.
    """

    heads: tuple[str, ...]
    bits: int
    idf: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    dense: NDArray[np.float32]
    damping: float

    def scores(
        self, views: Sequence[Features], dense: NDArray[np.float32] | None = None
    ) -> NDArray[np.float64]:
        """Return the (texts, heads) linear scores, summed over the views of the same texts."""
        size = views[0].size
        total = np.tile(self.bias.astype(np.float64), (size, 1))
        if dense is not None and self.dense.size:
            total += dense @ self.dense.T
        for view in views:
            values = weighted(view, self.idf, self.damping)
            for head, weights in enumerate(self.weights):
                total[:, head] += np.bincount(view.rows, weights[view.columns] * values, size)
        return total

    def evidence(self, pieces: Features, head: int) -> NDArray[np.float64]:
        """Return what each piece of a text adds to one head, up to the norm of the whole text."""
        values = _term_weights(pieces, self.idf) * self.weights[head][pieces.columns]
        return np.asarray(np.bincount(pieces.rows, values, pieces.size), np.float64)


def weighted(features: Features, idf: NDArray[np.float32], damping: float) -> NDArray[np.float32]:
    """Return the values of all entries: (1 + log tf) idf, divided by the damped norm of the row."""
    values = _term_weights(features, idf)
    norms = np.sqrt(np.bincount(features.rows, values * values, features.size) + damping)
    return np.asarray(values / norms.astype(np.float32)[features.rows], np.float32)


def sigmoid(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logistic function of ``scores``, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * scores)))


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the softmax of (texts, classes) ``scores`` over the classes."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Artefact:
    """A model with its metadata and the digest of both files; ``model`` is None where numbers suffice."""

    name: str
    model: LinearModel | None
    metadata: Mapping[str, Any]
    revision: str

    @property
    def weights(self) -> LinearModel:
        """The model; ValueError if the artefact holds none."""
        if self.model is None:
            raise ValueError(f"the artefact '{self.name}' holds no weights")
        return self.model


@cache
def shipped(name: str) -> Artefact:
    """Return the artefact of that name from the package, read once."""
    folder = resources.files("harmless.guards") / "artefacts"
    arrays = folder / f"{name}.npz"
    return parse(name, arrays.read_bytes() if arrays.is_file() else b"", (folder / f"{name}.json").read_bytes())


def read(folder: Path, name: str) -> Artefact:
    """Return the artefact of that name from a folder; BadFileError if it is not one."""
    arrays = folder / f"{name}.npz"
    try:
        return parse(
            name, arrays.read_bytes() if arrays.is_file() else b"", (folder / f"{name}.json").read_bytes()
        )
    except (OSError, ValueError, KeyError) as cause:
        raise BadFileError(
            arrays, f"not a guard artefact: {cause}.", next_step="Train it again: harmless guard train."
        ) from cause


def parse(name: str, arrays: bytes, metadata: bytes) -> Artefact:
    """Return the artefact in these bytes; ValueError or KeyError if they are not one."""
    described = json.loads(metadata)
    if described["format"] != FORMAT:
        raise ValueError(f"format {described['format']}, this version reads {FORMAT}")
    model = _unpack(arrays, described) if arrays else None
    return Artefact(name, model, described, hashlib.sha256(arrays + metadata).hexdigest()[:16])


def pack(model: LinearModel) -> bytes:
    """Return the bytes of the npz file; the same model gives the same bytes."""
    scale = np.maximum(np.abs(model.weights).max(axis=1), 1e-9)
    level = np.sqrt(np.abs(model.weights) / scale[:, None]) * 127
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        idf=np.clip(np.rint(model.idf / IDF_STEP), 0, 255).astype(np.uint8),
        weights=(np.sign(model.weights) * np.rint(level)).astype(np.int8),
        scale=scale.astype(np.float32),
        bias=model.bias.astype(np.float32),
        dense=model.dense.astype(np.float32),
    )
    return buffer.getvalue()


def describe(model: LinearModel) -> dict[str, Any]:
    """Return what the metadata has to say so that :func:`parse` can rebuild ``model``."""
    return {"format": FORMAT, "heads": list(model.heads), "bits": model.bits, "damping": model.damping}


def _unpack(arrays: bytes, described: Mapping[str, Any]) -> LinearModel:
    with np.load(io.BytesIO(arrays), allow_pickle=False) as stored:
        quantised = stored["weights"].astype(np.float32) / 127
        weights = np.sign(quantised) * quantised**2 * stored["scale"][:, None]
        idf = stored["idf"].astype(np.float32) * np.float32(IDF_STEP)
        bias, dense = stored["bias"], stored["dense"]
    if weights.shape != (len(described["heads"]), 1 << described["bits"]) or idf.shape != weights.shape[1:]:
        raise ValueError(f"weights of shape {weights.shape} do not fit the metadata")
    return LinearModel(
        tuple(described["heads"]),
        described["bits"],
        idf,
        weights.astype(np.float32),
        bias,
        dense,
        float(described["damping"]),
    )


def _term_weights(features: Features, idf: NDArray[np.float32]) -> NDArray[np.float32]:
    frequency = np.where(features.counts > 1, 1 + np.log(features.counts), 1).astype(np.float32)
    return np.asarray(frequency * idf[features.columns])
