"""Fit linear models over hashed features with scikit-learn (extra ``train``)."""

from __future__ import annotations

from collections.abc import Sequence
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


def fit(
    views: Sequence[Features],
    labels: NDArray[np.int64],
    *,
    heads: tuple[str, ...],
    weights: NDArray[np.float64] | None = None,
    strength: float = 4.0,
    damping: float = 50.0,
    dense: NDArray[np.float32] | None = None,
    bits: int = BITS,
    seed: int = 0,
) -> LinearModel:
    """Return a logistic regression; one head for labels 0 and 1, otherwise one head a class, one against rest.

    Args:
        views: the hashed texts; their scores add.
        labels: (rows,) index of the class.
        heads: names of the heads; with a single head label 1 is positive.
        weights: (rows,) sample weights; without them the classes are balanced.
        strength: inverse of the L2 penalty, C in scikit-learn.
        damping: see :class:`LinearModel`.
        dense: (rows, k) extra columns.
        bits: logarithm of the number of columns.
        seed: of the solver's order.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as cause:
        raise MissingExtraError("Training guards", "train") from cause
    from scipy.sparse import csr_matrix, hstack

    idf = idf_of(*views, bits=bits)
    table = sum(matrix(view, idf, damping) for view in views)
    extra = 0 if dense is None else dense.shape[1]
    if dense is not None:
        table = hstack([table, csr_matrix(dense)]).tocsr()
    binary = [labels] if len(heads) == 1 else [(labels == head).astype(int) for head in range(len(heads))]
    coefficients, biases = [], []
    for target in binary:
        solver = LogisticRegression(
            C=strength,
            solver="liblinear",
            dual=True,
            tol=1e-3,
            max_iter=500,
            random_state=seed,
            class_weight="balanced" if weights is None else None,
        )
        solver.fit(table, target, sample_weight=weights)
        coefficients.append(solver.coef_[0])
        biases.append(solver.intercept_[0])
    stacked = np.asarray(coefficients, np.float32)
    columns = 1 << bits
    return LinearModel(
        heads,
        bits,
        idf,
        stacked[:, :columns],
        np.asarray(biases, np.float32),
        stacked[:, columns : columns + extra],
        damping,
    )


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
