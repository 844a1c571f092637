"""Fit a guard's scores to what they mean: the share of exchanges with that score that are unsafe."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError, model_validator

from harmless.core import GuardInfo, digest
from harmless.core.model import Model
from harmless.errors import BadFileError

Method = Literal["isotonic", "platt"]
FEWEST = 2
"""Rows of each class without which nothing can be fitted; a hundred and more are sensible."""


class Calibration(Model):
    """A function that rises from scores to probabilities, and what it was fitted for.

    Between ``scores`` (rising) and their ``probabilities`` it is linear, outside it is constant. ``guard`` and
    ``identity`` are those of the guard whose scores were fitted; ``unsafe`` and ``safe`` count the rows.
    """

    method: Method
    guard: str
    identity: str
    unsafe: int
    safe: int
    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    @model_validator(mode="after")
    def _rises(self) -> Calibration:
        x, y = np.asarray(self.scores), np.asarray(self.probabilities)
        if not len(x) or len(x) != len(y) or not np.isfinite(x).all():
            raise ValueError("each score needs one probability")
        if (np.diff(x) <= 0).any() or (np.diff(y) < 0).any() or not ((y >= 0) & (y <= 1)).all():
            raise ValueError("scores rise, probabilities do not fall and lie between 0 and 1")
        return self

    @property
    def revision(self) -> str:
        """Digest of the whole function."""
        return digest(self)

    def __call__(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities of scores of any shape."""
        found = np.interp(np.asarray(scores, dtype=float), self.scores, self.probabilities)
        return np.asarray(found, dtype=np.float64)

    def write(self, path: str | Path) -> None:
        """Write it as JSON."""
        Path(path).write_text(json.dumps(self.model_dump(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: str | Path) -> Calibration:
        """Read what :meth:`write` wrote; BadFileError if it is not that."""
        step = "Fit it with `harmless guard calibrate`."
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise BadFileError(path, f"It cannot be read: {error.strerror}.", next_step=step) from None
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            what = f"No calibration: {f'{place}: ' if place else ''}{first['msg']}."
            raise BadFileError(path, what, next_step=step) from None


def fit_calibration(
    scores: ArrayLike, labels: ArrayLike, info: GuardInfo, method: Method = "isotonic"
) -> Calibration:
    """Return the calibration of a guard fitted on labelled rows, which no test set may contain.

    Args:
        scores: the guard's, shape (n,).
        labels: 1 for unsafe and 0 for safe, shape (n,).
        info: the guard's; the calibration is refused for another revision.
        method: ``isotonic`` (Zadrozny and Elkan 2002) takes any rising form and wants about a thousand rows;
            ``platt`` (Platt 1999, with his smoothed targets) a sigmoid, for fewer rows.

    Raises:
        ValueError: not one label a score, or less than two rows of a class.
    """
    x, y = np.asarray(scores, dtype=float), np.asarray(labels, dtype=float)
    if x.ndim != 1 or x.shape != y.shape or not np.isfinite(x).all() or not np.isin(y, (0, 1)).all():
        raise ValueError("each score needs one label, 0 or 1")
    unsafe, safe = int(y.sum()), int(len(y) - y.sum())
    if min(unsafe, safe) < FEWEST:
        raise ValueError(f"{unsafe} unsafe and {safe} safe rows are too few to fit")
    knots, values = (_isotonic if method == "isotonic" else _platt)(x, y)
    return Calibration(
        method=method,
        guard=info.name,
        identity=info.identity,
        unsafe=unsafe,
        safe=safe,
        scores=tuple(float(f"{value:.12g}") for value in knots),
        probabilities=tuple(float(f"{value:.9g}") for value in values),
    )


def _isotonic(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the two ends of each block of the least-squares rising steps (pool adjacent violators)."""
    values, index, count = np.unique(np.round(x, 12), return_inverse=True, return_counts=True)
    means = np.bincount(index, weights=y) / count
    blocks: list[tuple[float, int, int, int]] = []  # mean, rows, first value, last value
    for i, (mean, rows) in enumerate(zip(means.tolist(), count.tolist(), strict=True)):
        block = (mean, rows, i, i)
        while blocks and blocks[-1][0] >= block[0]:
            before = blocks.pop()
            rows = before[1] + block[1]
            mean = (before[0] * before[1] + block[0] * block[1]) / rows
            block = (mean, rows, before[2], block[3])
        blocks.append(block)
    ends = [(values[end], mean) for mean, _, *both in blocks for end in dict.fromkeys(both)]
    knots, fitted = np.array(ends).T
    return knots, np.clip(fitted, 0.0, 1.0)


def _platt(
    x: NDArray[np.float64], y: NDArray[np.float64], steps: int = 65
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sigmoid at evenly spaced scores; a falling one would reverse the ranking and is made flat."""
    positives = y.sum()
    target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (len(y) - positives + 2))
    slope, offset = _newton(x, target)
    knots = np.linspace(0.0, 1.0, steps)
    if slope <= 0:
        return knots, np.full(steps, target.mean())
    return knots, 1 / (1 + np.exp(-(slope * knots + offset)))


def _newton(x: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[float, float]:
    """Minimise the log loss of a sigmoid; halves a step that does not lower it (Lin, Lin and Weng 2007)."""
    design = np.stack([x, np.ones_like(x)])
    weights = np.array([0.0, math.log(target.mean() / (1 - target.mean()))])
    loss = _log_loss(weights @ design, target)
    for _ in range(100):
        p = 1 / (1 + np.exp(-(weights @ design)))
        gradient = design @ (p - target)
        hessian = (design * (p * (1 - p))) @ design.T + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-10 and _log_loss((weights - size * step) @ design, target) > loss:
            size /= 2
        weights = weights - size * step
        new = _log_loss(weights @ design, target)
        if abs(loss - new) < 1e-12 * max(1.0, loss):
            break
        loss = new
    return float(weights[0]), float(weights[1])


def _log_loss(z: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    return float((np.logaddexp(0, z) - target * z).sum())
