"""Groups that must not be split between training and test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harmless.guards.features import hashed
from harmless.guards.train.fit import idf_of, matrix

SIMILAR = 0.6


def near_duplicates(texts: Sequence[str]) -> NDArray[np.int64]:
    """Return one group number a text; texts with a TF-IDF cosine above ``SIMILAR`` share a group, chained."""
    from scipy.sparse import vstack
    from scipy.sparse.csgraph import connected_components

    features = hashed(texts)
    table = matrix(features, idf_of(features), damping=0)
    blocks = []
    for start in range(0, table.shape[0], 1000):
        block = table[start : start + 1000] @ table.T
        block.data = (block.data > SIMILAR).astype(np.int8)
        block.eliminate_zeros()
        blocks.append(block)
    return np.asarray(connected_components(vstack(blocks), directed=False)[1], np.int64)


def joined(groups: NDArray[np.int64], keys: Sequence[str]) -> NDArray[np.int64]:
    """Return the groups after those that hold the same key, if it is not empty, have become one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    first: dict[str, int] = {}
    links = [(groups[first.setdefault(key, place)], groups[place]) for place, key in enumerate(keys) if key]
    ends = np.array(links, np.int64).reshape(-1, 2)
    count = int(groups.max(initial=-1)) + 1
    graph = coo_matrix((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), (count, count))
    return np.asarray(connected_components(graph, directed=False)[1][groups], np.int64)


def folds(groups: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a fold from 0 to ``count`` - 1 for every row, the same for all rows of a group."""
    names, index = np.unique(groups, return_inverse=True)
    return np.asarray((rng.permutation(len(names)) % count)[index])


def two_way(
    goal_folds: NDArray[np.int64], model_folds: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield (train, test) row numbers for every cell of goal folds by model folds.

    The test rows lie in the cell; training rows share neither the goal fold nor the model fold with it, so no
    goal and no model is on both sides. Every row is tested once; rows in the cross of the cell sit out.
    """
    for goal in np.unique(goal_folds):
        for model in np.unique(model_folds):
            test = np.flatnonzero((goal_folds == goal) & (model_folds == model))
            train = np.flatnonzero((goal_folds != goal) & (model_folds != model))
            if len(test):
                yield train, test


def close_to(texts: Sequence[str], others: Sequence[str]) -> NDArray[np.bool_]:
    """Return for every text whether any of ``others`` is nearly the same (cosine above ``SIMILAR``)."""
    features, against = hashed(texts), hashed(others)
    idf = idf_of(features)
    likeness = matrix(features, idf, damping=0) @ matrix(against, idf, damping=0).T
    return np.asarray(likeness.max(axis=1).toarray().ravel() > SIMILAR)
