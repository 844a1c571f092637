"""A linear probe: what can be read off a hidden state (Alain and Bengio 2016)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harmless.errors import BadFileError, MissingExtraError
from harmless.internals.hidden import Pool

#: Inverse strength of the ridge on standardised states; chosen among 84 settings on a development split.
C = 0.01
#: Parts of the rows, each of which is scored by a probe of the others.
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Probe:
    """Logistic regression on the standardised states of one layer.

    Attributes:
        layer: which one, as :func:`harmless.internals.hidden.states` counts.
        pool: how its states are pooled.
        mean, scale, weight: of shape (width,).
        bias: of the log-odds.
        model: revision of the model that it was fitted on.
    """

    layer: int
    pool: Pool
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weight: NDArray[np.float32]
    bias: float
    model: str

    def log_odds(self, states: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the log-odds of the positive class for states of shape (n, width)."""
        found = ((states - self.mean) / self.scale) @ self.weight
        return np.asarray(found + self.bias, np.float64)

    def save(self, path: Path) -> None:
        """Write it as an npz file without pickles."""
        about = json.dumps({"layer": self.layer, "pool": self.pool, "bias": self.bias, "model": self.model})
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez(file, mean=self.mean, scale=self.scale, weight=self.weight, about=np.array(about))

    @classmethod
    def load(cls, path: Path) -> Probe:
        """Return the probe in a file; BadFileError if there is none in it."""
        try:
            with np.load(path, allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                return cls(**about, mean=file["mean"], scale=file["scale"], weight=file["weight"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadFileError(
                path, f"This holds no probe: {error}.", next_step="Train one: harmless guard train --head probe"
            ) from None


def fit(states: NDArray[np.float32], labels: NDArray[np.bool_], *, layer: int, pool: Pool, model: str) -> Probe:
    """Fit a probe to states of shape (n, width); both classes weigh the same.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        ValueError: there is one class only.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtraError("Fitting a probe", "train") from error
    mean, scale = states.mean(axis=0), states.std(axis=0) + 1e-6
    line = LogisticRegression(C=C, max_iter=2000, class_weight="balanced")
    line.fit((states - mean) / scale, labels)
    weight = line.coef_[0].astype(np.float32)
    return Probe(layer, pool, mean, scale, weight, float(line.intercept_[0]), model)


def folds_of(groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return a fold for each row, whole clusters together, drawn with a fixed seed."""
    count = int(groups.max(initial=-1)) + 1
    order = np.random.default_rng(0).permutation(count)
    return order[groups] % min(FOLDS, max(count, 1))


def held_out(states: NDArray[np.float32], y: NDArray[np.bool_], folds: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the log-odds, (n,), of each row by a probe of the other folds; 0 where they had one class."""
    found = np.zeros(len(y))
    for fold in np.unique(folds):
        out = folds == fold
        if y[~out].any() and not y[~out].all():
            found[out] = fit(states[~out], y[~out], layer=0, pool="last", model="").log_odds(states[out])
    return found
