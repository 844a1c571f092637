"""Which of the 66 hazards a prompt is about, as finely as can be told: leaf, else task, else domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from harmless import taxonomy
from harmless.guards.features import hashed
from harmless.guards.linear import Artefact, LinearModel, softmax, weighted

LEVELS = ("leaf", "task", "domain")


@dataclass(frozen=True)
class Named:
    """The hazard of a text: its key, the probability that it is right, and those of its task and domain."""

    key: str
    likely: float
    labels: Mapping[str, float]


class HazardNamer:
    """Names hazards with heads for the six domains and for the leaves, whose keys are the heads' names.

    The probability of a leaf is that of its domain times its own among the domain's leaves; that of a task is
    the sum of its leaves'. The finest level whose probability reaches that level's threshold is named.
    """

    def __init__(self, artefact: Artefact) -> None:
        self._artefact = artefact

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys of all hazards that can be named, sorted by level."""
        known = self._tree
        return (*known.domains, *known.tasks, *known.leaves)

    @cached_property
    def _tree(self) -> Tree:
        return tree(self._artefact.weights.heads)

    @cached_property
    def _rows(self) -> NDArray[np.float32]:
        # One row a column: what a text needs lies together in memory.
        return np.ascontiguousarray(self._artefact.weights.weights.T)

    def name(self, texts: Sequence[str]) -> list[Named]:
        """Return the hazard of every text, harmful or not."""
        if not texts:
            return []
        model: LinearModel = self._artefact.weights
        features = hashed(texts, model.bits)
        values = weighted(features, model.idf, model.damping)
        ends = features.indptr
        scores = np.array(
            [values[a:b] @ self._rows[features.columns[a:b]] + model.bias for a, b in pairwise(ends)]
        )
        slopes, thresholds = self._artefact.metadata["slopes"], self._artefact.metadata["thresholds"]
        known, (domains, leaves) = self._tree, self._tree.chances(scores, slopes)
        chances = {"leaf": leaves, "task": known.task_chances(leaves), "domain": domains}
        keys = {"leaf": known.leaves, "task": known.tasks, "domain": known.domains}
        best = {level: each.argmax(axis=1).tolist() for level, each in chances.items()}
        rows = {level: each.tolist() for level, each in chances.items()}
        found = []
        for i in range(len(texts)):
            level = next(of for of in LEVELS if rows[of][i][best[of][i]] >= thresholds.get(of, 0.0))
            at = best[level][i]
            key = keys[level][at]
            labels = {name: round(rows[of][i][column], 4) for name, of, column in known.paths[key]}
            found.append(Named(key, rows[level][i][at], labels))
        return found


@dataclass(frozen=True)
class Tree:
    """Which head is what: keys of domains and leaves in the order of the heads, and where each leaf belongs."""

    domains: tuple[str, ...]
    leaves: tuple[str, ...]
    task_of: tuple[str, ...]
    domain_of: NDArray[np.int64]

    def chances(
        self, scores: NDArray[np.float64], slopes: Sequence[float]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the (texts, domains) and the (texts, leaves) probabilities from the scores of all heads."""
        count = len(self.domains)
        domains = softmax(scores[:, :count] * slopes[0])
        leaves = softmax(scores[:, count:] * slopes[1])
        within = np.zeros_like(domains)
        np.add.at(within.T, self.domain_of, leaves.T)
        return domains, leaves * (domains / np.maximum(within, 1e-12))[:, self.domain_of]

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """The keys of all tasks, in the order of their first leaves."""
        return tuple(dict.fromkeys(self.task_of))

    def task_chances(self, leaves: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (texts, tasks) probabilities from those of the leaves."""
        belongs = np.array([[task == other for other in self.tasks] for task in self.task_of], float)
        return np.asarray(leaves @ belongs, np.float64)

    @cached_property
    def paths(self) -> dict[str, tuple[tuple[str, str, int], ...]]:
        """Every key -> (key, level, column) of itself and of what is above it and has a probability."""
        columns = {
            key: (key, level, i)
            for level, keys in zip(LEVELS, (self.leaves, self.tasks, self.domains), strict=True)
            for i, key in enumerate(keys)
        }
        known = taxonomy.load()
        return {
            key: tuple(
                columns[each] for each in (key, *(a.key for a in known.ancestors(key))) if each in columns
            )
            for key in columns
        }


def tree(heads: Sequence[str]) -> Tree:
    """Return the tree over heads that are named by keys: domains first, then leaves."""
    known = taxonomy.load()
    domains = tuple(head for head in heads if head.startswith("salad.d."))
    leaves = tuple(head for head in heads if head.startswith("salad.c."))
    tasks = tuple(known.rollup(leaf, "task").key for leaf in leaves)
    owners = [domains.index(known.rollup(leaf, "domain").key) for leaf in leaves]
    return Tree(domains, leaves, tasks, np.array(owners, np.int64))
