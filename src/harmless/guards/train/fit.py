"""Fit linear models over hashed features with scikit-learn (extra ``train``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmless.errors import MissingExtraError
from harmless.guards.features import BITS, Features
from harmless.guards.linear import LinearModel, weighted


def idf_of(*views: Features, bits: int = BITS) -> NDArray[np.float32]:
    """Return the smoothed inverse document frequency of every column: log((1 + n) / (1 + df)) + 1."""
    frequency = sum((np.bincount(view.columns, minlength=1 << bits) for view in views), np.zeros(1 << bits))
    return np.asarray(np.log((1 + views[0].size) / (1 + frequency)) + 1, np.float32)


def matrix(features: Features, idf: NDArray[np.float32], damping: float) -> Any:
    """Return the weighted features as a SciPy CSR matrix."""
    from scipy.sparse import csr_matrix

    values = weighted(features, idf, damping)
    return csr_matrix((values, features.columns, features.indptr), (features.size, len(idf)))


CERTAIN = 6.0


@dataclass(frozen=True)
class How:
    """How a linear model is fitted.

    ``heads`` names the heads: with a single one label 1 is positive, otherwise one head a class, one against
    rest. ``strength`` is the inverse of the L2 penalty (C in scikit-learn), ``damping`` that of
    :class:`LinearModel`, ``bits`` the logarithm of the number of columns, ``seed`` that of the solver's order.
    ``idf`` are the inverse document frequencies, taken from the rows if None.
    """

    heads: tuple[str, ...]
    strength: float = 4.0
    damping: float = 50.0
    bits: int = BITS
    seed: int = 0
    idf: NDArray[np.float32] | None = None


def fit(
    views: Sequence[Features],
    labels: NDArray[np.int64],
    how: How,
    weights: NDArray[np.float64] | None = None,
    dense: NDArray[np.float32] | None = None,
) -> LinearModel:
    """Return a logistic regression over hashed features.

    Args:
        views: the hashed texts; their scores add.
        labels: (rows,) index of the class.
        how: heads, penalty, damping and seed.
        weights: (rows,) sample weights; without them the classes are balanced.
        dense: (rows, k) extra columns.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as cause:
        raise MissingExtraError("Training guards", "train") from cause
    from scipy.sparse import csr_matrix, hstack

    idf = idf_of(*views, bits=how.bits) if how.idf is None else how.idf
    table = sum(matrix(view, idf, how.damping) for view in views)
    extra = 0 if dense is None else dense.shape[1]
    if dense is not None:
        table = hstack([table, csr_matrix(dense)]).tocsr()
    binary = (
        [labels] if len(how.heads) == 1 else [(labels == head).astype(int) for head in range(len(how.heads))]
    )
    coefficients, biases = [], []
    for target in binary:
        if target.min() == target.max():  # a sample without the class: nothing to learn, never or always
            coefficients.append(np.zeros(table.shape[1]))
            biases.append(CERTAIN if target.all() else -CERTAIN)
            continue
        solver = LogisticRegression(
            C=how.strength,
            solver="liblinear",
            dual=True,
            tol=1e-3,
            max_iter=500,
            random_state=how.seed,
            class_weight="balanced" if weights is None else None,
        )
        solver.fit(table, target, sample_weight=weights)
        coefficients.append(solver.coef_[0])
        biases.append(float(solver.intercept_[0]))
    stacked = np.asarray(coefficients, np.float32)
    columns = 1 << how.bits
    return LinearModel(
        how.heads,
        how.bits,
        idf,
        stacked[:, :columns],
        np.asarray(biases, np.float32),
        stacked[:, columns : columns + extra],
        how.damping,
    )


def even(weights: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
    """Scale ``weights`` in place so that labels 0 and 1 get half of the total each, one a row on average."""
    for label in (0, 1):
        weights[labels == label] *= len(labels) / 2 / max(weights[labels == label].sum(), 1e-12)


def logistic(
    signals: NDArray[np.float64], labels: NDArray[np.int64], *, strength: float = 1.0
) -> tuple[NDArray[np.float64], float]:
    """Return coefficients and intercept of a logistic regression on a few dense signals (Platt, 1999)."""
    from sklearn.linear_model import LogisticRegression

    solver = LogisticRegression(C=strength, max_iter=1000).fit(signals, labels)
    return np.asarray(solver.coef_[0]), float(solver.intercept_[0])


def auroc(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))
