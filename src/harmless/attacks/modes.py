"""Failure modes: failures that are alike, found by density (HDBSCAN) in an embedding, and named by their words.

A failure is placed by what the target was told. Of its words only those count that failures for other
objectives share: what is left is the frame, the disguise or the topic, and what one objective alone is about
would keep failures apart that have the same cause.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harmless.attacks.failures import Failure
from harmless.attacks.naming import cluster_terms
from harmless.core.model import Model
from harmless.data.similar import Encoder, Words
from harmless.errors import MissingExtraError

#: Failures from which there is a mode, and the share of all failures.
FEWEST, _SHARE = 3, 40
#: Dimensions in which density is looked for: in more, all points are about as far from each other.
DIMENSIONS = 12
_TERMS = 4
_WORD = re.compile(r"\w+")


class Mode(Model):
    """Failures that are alike: their number, of how many objectives, by hazard and attack, largest first.

    ``terms`` are words of what was asked that set the mode apart; ``attempts`` the rows in the evidence, the
    most typical one first.
    """

    terms: tuple[str, ...]
    failures: int
    objectives: int
    score: float
    hazards: dict[str, int]
    attacks: dict[str, int]
    attempts: tuple[int, ...]


class Modes(NamedTuple):
    """The modes of failures, the largest first; a failure that is like no others is in none.

    ``kinds`` are finer, two that are alike being one, and one that is like no others another: the number of
    objectives of each, for estimates of what is unseen.
    """

    modes: list[Mode]
    kinds: list[int]


def modes(failures: Sequence[Failure], encoder: Encoder) -> Modes:
    """Return the modes of failures.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    failures = sorted(failures, key=lambda each: each.attempt)  # ties are broken by the order
    objectives = [failure.objective.id for failure in failures]
    if len(failures) < FEWEST:
        return Modes([], list(Counter(objectives).values()))
    vectors, rows = _placed(failures, encoder)
    placed = [failures[i] for i in rows]
    alike, alone = defaultdict[int, set[str]](set), set(objectives) - {each.objective.id for each in placed}
    for kind, failure in zip(_dense(vectors, 2).tolist(), placed, strict=True):
        (alone if kind < 0 else alike[kind]).add(failure.objective.id)
    named = _modes(placed, vectors, _dense(vectors, max(FEWEST, len(failures) // _SHARE)))
    return Modes(named, [*(len(found) for found in alike.values()), *(1 for _ in alone)])


def _modes(failures: Sequence[Failure], vectors: NDArray[np.float64], labels: NDArray[np.intp]) -> list[Mode]:
    members = {label: np.flatnonzero(labels == label).tolist() for label in sorted(set(labels.tolist()) - {-1})}
    terms = cluster_terms({label: [failures[i].said for i in rows] for label, rows in members.items()}, _TERMS)
    found = [_mode([failures[i] for i in rows], vectors[rows], terms[label]) for label, rows in members.items()]
    return sorted(found, key=lambda mode: (-mode.objectives, -mode.failures, mode.terms))


def _mode(failures: Sequence[Failure], vectors: NDArray[np.float64], terms: Sequence[str]) -> Mode:
    typical = np.argsort(-(vectors @ vectors.mean(axis=0)), kind="stable")
    return Mode(
        terms=tuple(terms),
        failures=len(failures),
        objectives=len({each.objective.id for each in failures}),
        score=float(np.mean([each.score for each in failures])),
        hazards=dict(Counter(each.objective.hazard or "" for each in failures).most_common()),
        attacks=dict(Counter(each.attack for each in failures).most_common()),
        attempts=tuple(failures[i].attempt for i in typical),
    )


def _placed(failures: Sequence[Failure], encoder: Encoder) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return where failures lie, rows of unit length, and which they are: some are like no others at once."""
    texts = shared(failures) if isinstance(encoder, Words) else [each.said for each in failures]
    vectors = encoder.fit(texts)(texts).astype(np.float64)
    rows = np.flatnonzero(vectors.any(axis=1))
    if not len(rows):
        return vectors[rows], rows
    left, sizes, _ = np.linalg.svd(vectors[rows] - vectors[rows].mean(axis=0), full_matrices=False)
    reduced = (left * sizes)[:, :DIMENSIONS]
    norms = np.linalg.norm(reduced, axis=1, keepdims=True)
    return np.asarray(reduced / np.maximum(norms, 1e-9), dtype=np.float64), rows


def shared(failures: Sequence[Failure]) -> list[str]:
    """Return what each failure said, without the words that those of one objective alone have."""
    words = [_WORD.findall(each.said.casefold()) for each in failures]
    objectives = defaultdict[str, set[str]](set)
    for found, failure in zip(words, failures, strict=True):
        for word in found:
            objectives[word].add(failure.objective.id)
    return [" ".join(word for word in found if len(objectives[word]) > 1) for found in words]


def _dense(vectors: NDArray[np.float64], fewest: int) -> NDArray[np.intp]:
    """Return the cluster of each row, -1 for none (Campello, Moulavi and Sander 2013)."""
    try:
        from sklearn.cluster import HDBSCAN
    except ImportError:
        raise MissingExtraError("Finding failure modes", "train") from None
    labels = np.full(len(vectors), -1)
    for alone in (False, True):  # that all are one cluster is thought of only if there is no other
        if len(vectors) >= fewest and (labels == -1).all():
            found = HDBSCAN(min_cluster_size=fewest, min_samples=1, allow_single_cluster=alone, copy=True)
            labels = np.asarray(found.fit_predict(vectors))
    return labels
