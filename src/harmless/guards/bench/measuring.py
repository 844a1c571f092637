"""From the verdicts of one guard to its measures, with intervals; and from two guards' to their difference."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harmless import taxonomy
from harmless.core import GuardInfo, Policy, Verdict
from harmless.data import Labelled
from harmless.guards.bench.model import Bin, Contested, Counts, Estimate, Judged, Settings, Slice
from harmless.guards.bench.rows import origin_of
from harmless.stats import clustered_rate, reliability
from harmless.stats.detection import BINS, NAMES, RATES, cluster_weights, detection

FEWEST = 10
"""Origins of the rarer label below which a bootstrap tells nothing of the spread; there is no interval then."""
CURVE = 200
"""Points of the ROC curve that are kept."""

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Verdicts:
    """One guard's verdicts as arrays, all of shape (rows,): ``score`` and ``flag`` are NaN where unassessed.

    ``label`` is 1 for unsafe; ``origin`` numbers what makes rows dependent.
    """

    rows: tuple[Labelled, ...]
    score: NDArray[np.float64]
    flag: NDArray[np.float64]
    label: NDArray[np.float64]
    origin: NDArray[np.intp]

    @classmethod
    def of(cls, info: GuardInfo, rows: Sequence[Labelled], said: Sequence[Verdict], policy: Policy) -> Verdicts:
        """Return the arrays, the decisions being those of the policy's threshold or the guard's own."""
        flags = [policy.flagged(info.name, info.threshold, verdict) for verdict in said]
        known = [flag is not None for flag in flags]
        scores = [v.score if k else None for v, k in zip(said, known, strict=True)]
        return cls(
            tuple(rows),
            np.array([math.nan if each is None else each for each in scores], dtype=float),
            np.array([math.nan if each is None else float(each) for each in flags], dtype=float),
            np.array([float(bool(row.unsafe)) for row in rows], dtype=float),
            np.unique([origin_of(row) for row in rows] or [""], return_inverse=True)[1][: len(rows)],
        )

    @property
    def assessed(self) -> NDArray[np.bool_]:
        """Which rows have a score."""
        return ~np.isnan(self.score)

    def at(self, which: Rows) -> Verdicts:
        """Return some of the rows."""
        chosen = tuple(self.rows[i] for i in which)
        return Verdicts(chosen, self.score[which], self.flag[which], self.label[which], self.origin[which])

    def known(self) -> Verdicts:
        """Return the assessed rows."""
        return self.at(np.flatnonzero(self.assessed))

    def counts(self) -> Counts:
        """Return how many rows there are of each label and decision."""
        pairs = Counter(zip(self.label.tolist(), self.flag.tolist(), strict=True))
        unsafe = int(self.label.sum())
        return Counts(
            unsafe=unsafe,
            safe=len(self.rows) - unsafe,
            unassessed=int((~self.assessed).sum()),
            true_positive=pairs[1.0, 1.0],
            false_positive=pairs[0.0, 1.0],
            true_negative=pairs[0.0, 0.0],
            false_negative=pairs[1.0, 0.0],
        )


def measures(found: Verdicts, settings: Settings) -> dict[str, Estimate]:
    """Return all measures of :data:`harmless.stats.detection.NAMES`.

    Shares of rows have cluster-robust intervals that are never of zero width
    (:func:`harmless.stats.clusters.clustered_rate`), the others percentile bootstrap intervals over origins.
    """
    known = found.known()
    values = _points(known)
    drawn = bootstrap(known, settings)
    tail = (1 - settings.confidence) / 2
    missing = len(known.rows) < len(found.rows)
    worst, best = (_points(_filled(found, right)) if missing else values for right in (False, True))
    estimates = {}
    for name in NAMES:
        if name in RATES:
            low, high = _rate_limits(known, name, settings.confidence)
        else:
            low, high = _limits(drawn.get(name), tail)
        if values[name] is None:
            low = high = None
        ends = (None, None) if name == "ece" and missing else (worst[name], best[name])
        estimates[name] = Estimate(value=values[name], low=low, high=high, worst=ends[0], best=ends[1])
    return estimates


def bootstrap(found: Verdicts, settings: Settings) -> Mapping[str, NDArray[np.float64]]:
    """Return the measures under each bootstrap draw of origins; nothing if there are too few origins."""
    origins = [len(np.unique(found.origin[found.label == label])) for label in (0, 1)]
    if min(filter(None, origins), default=0) < FEWEST or not settings.resamples:
        return {}
    weights = cluster_weights(found.origin, settings.resamples, settings.seed)
    return detection(found.score, found.flag, found.label, weights)


def slices(found: Verdicts, settings: Settings) -> tuple[tuple[Slice, ...], tuple[Slice, ...]]:
    """Return the rows by hazard and by source, each with its measures.

    Hazards are those of the spine at its three levels, or the codes of another taxonomy that surely hold the
    row's leaf by the crosswalk.
    """
    by_hazard = [
        _slice(found, key, name, level, rows, settings)
        for (key, name, level), rows in _by(found, keys_of(settings.taxonomy))
    ]
    by_source = [
        _slice(found, key, name, level, rows, settings)
        for (key, name, level), rows in _by(found, lambda row: [(row.source, row.source, "source")])
    ]
    by_source.sort(key=lambda each: (-each.counts.rows, each.key))
    return tuple(by_hazard), tuple(by_source) if len(by_source) > 1 else ()


def bins(found: Verdicts) -> tuple[Bin, ...]:
    """Return the reliability diagram of the assessed rows."""
    known = found.known()
    if not len(known.rows):
        return ()
    of = reliability(known.score, known.label, bins=BINS)
    rows = zip(of.count.tolist(), of.predicted.tolist(), of.observed.tolist(), strict=True)
    return tuple(Bin(rows=n, score=score, unsafe=unsafe) for n, score, unsafe in rows)


def curve(found: Verdicts) -> tuple[tuple[float, float], ...]:
    """Return the ROC curve: (false-positive rate, recall) from (0, 0) to (1, 1); empty if a class is absent."""
    known = found.known()
    positive, negative = known.label.sum(), (1 - known.label).sum()
    if not positive or not negative:
        return ()
    order = np.argsort(-known.score, kind="stable")
    score, label = known.score[order], known.label[order]
    ends = np.flatnonzero(np.append(np.diff(score) != 0, True))
    x = np.append(0, np.cumsum(1 - label)[ends] / negative)
    y = np.append(0, np.cumsum(label)[ends] / positive)
    # Where many scores differ, points on the way along a straight run add nothing.
    keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), CURVE)).round().astype(int))
    return tuple((round(float(a), 5), round(float(b), 5)) for a, b in zip(x[keep], y[keep], strict=True))


def contested(said: Mapping[str, Verdicts]) -> tuple[Contested, ...]:
    """Return the rows that guards disagree on or get wrong: those that most disagree first."""
    rows: dict[str, Labelled] = {}
    judged: dict[str, dict[str, Judged]] = {}
    for spec, found in said.items():
        for row, score, flag in zip(found.rows, found.score.tolist(), found.flag.tolist(), strict=True):
            rows[row.id] = row
            unknown = math.isnan(score)
            judged.setdefault(row.id, {})[spec] = Judged(
                score=None if unknown else score, flagged=None if unknown else bool(flag)
            )
    all_rows = [
        Contested(id=id, unsafe=bool(row.unsafe), hazard=row.hazard, source=row.source, said=judged[id])
        for id, row in rows.items()
    ]
    disputed = [each for each in all_rows if each.disagree or each.wrong]
    return tuple(sorted(disputed, key=lambda each: (not each.disagree, -_margin(each), each.id)))


def _margin(row: Contested) -> float:
    """Return how far apart the scores are, or how wrong the nearest to right is where all are wrong."""
    scores = [each.score for each in row.said.values() if each.score is not None]
    if row.disagree:
        return max(scores) - min(scores)
    return 1 - max(scores) if row.unsafe else min(scores)


def _points(found: Verdicts) -> dict[str, float | None]:
    values = detection(found.score, found.flag, found.label)
    return {name: None if math.isnan(values[name][0]) else float(values[name][0]) for name in NAMES}


def _filled(found: Verdicts, right: bool) -> Verdicts:
    """Return the rows with what is unassessed judged right, or wrong, as surely as can be."""
    label = found.label if right else 1 - found.label
    gaps = ~found.assessed
    return Verdicts(
        found.rows,
        np.where(gaps, label, found.score),
        np.where(gaps, label, found.flag),
        found.label,
        found.origin,
    )


_EVENTS: Mapping[str, Callable[[Verdicts], tuple[NDArray[np.float64], NDArray[np.bool_]]]] = {
    "accuracy": lambda v: ((v.flag == v.label).astype(float), np.ones(len(v.rows), bool)),
    "precision": lambda v: (v.label, v.flag == 1),
    "recall": lambda v: (v.flag, v.label == 1),
    "fpr": lambda v: (v.flag, v.label == 0),
}


def _rate_limits(found: Verdicts, name: str, confidence: float) -> tuple[float | None, float | None]:
    events, among = _EVENTS[name](found)
    if not among.any():
        return None, None
    of = clustered_rate(events[among], found.origin[among], confidence)
    return of.low, of.high


def _limits(drawn: NDArray[np.float64] | None, tail: float) -> tuple[float | None, float | None]:
    drawn = drawn[~np.isnan(drawn)] if drawn is not None else np.empty(0)
    if not len(drawn):
        return None, None
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def _slice(found: Verdicts, key: str, name: str, level: str, rows: Rows, settings: Settings) -> Slice:
    part = found.at(rows)
    return Slice(key=key, name=name, level=level, counts=part.counts(), measures=measures(part, settings))


Key = tuple[str, str, str]


def _by(found: Verdicts, keys: Callable[[Labelled], Sequence[Key]]) -> Iterator[tuple[Key, Rows]]:
    groups: dict[Key, list[int]] = {}
    for i, row in enumerate(found.rows):
        for key in keys(row):
            groups.setdefault(key, []).append(i)
    order = {"domain": 0, "task": 1, "category": 2}
    for key in sorted(groups, key=lambda key: (order.get(key[2], 3), _natural(key[0]))):
        yield key, np.array(groups[key], dtype=np.intp)


def _natural(key: str) -> tuple[str, int]:
    head = key.rstrip("0123456789")
    return head, int(key[len(head) :] or 0)


def keys_of(id: str) -> Callable[[Labelled], Sequence[Key]]:
    """Return what gives a row its (key, name, level) in a taxonomy; UnknownNameError, UsageError if none."""
    spine = taxonomy.load()
    if id == taxonomy.SPINE:
        return lambda row: (
            [(h.key, h.name, h.level.value) for h in (spine.hazard(row.hazard), *spine.ancestors(row.hazard))]
            if row.hazard
            else []
        )
    walk = taxonomy.crosswalk(id)
    names = {code.code: code.name for code in taxonomy.taxonomy(id).codes}
    return lambda row: (
        [(link.code, names[link.code], "code") for link in walk.to(row.hazard, taxonomy.AROUND)]
        if row.hazard
        else []
    )
