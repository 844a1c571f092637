"""Two guards on the same rows: who is right more often, who ranks better, how far they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from harmless.guards.bench.measuring import Verdicts, bootstrap
from harmless.guards.bench.model import Estimate, Pair, Settings
from harmless.stats import auroc, cohen_kappa, holm, mcnemar


def compare(said: Mapping[str, Verdicts], settings: Settings) -> tuple[Pair, ...]:
    """Return each pair of guards that assessed some rows both, p-values corrected for all pairs (Holm)."""
    pairs = [_pair(first, second, said, settings) for first, second in combinations(said, 2)]
    pairs = [pair for pair in pairs if pair.rows]
    corrected = _holm([pair.p for pair in pairs])
    ranked = _holm([pair.p_auroc for pair in pairs])
    return tuple(
        pair.model_copy(update={"p_holm": p, "p_auroc_holm": q})
        for pair, p, q in zip(pairs, corrected, ranked, strict=True)
    )


def _pair(first: str, second: str, said: Mapping[str, Verdicts], settings: Settings) -> Pair:
    a, b = shared(said[first], said[second])
    right_a, right_b = a.flag == a.label, b.flag == b.label
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    drawn_a, drawn_b = bootstrap(a, settings), bootstrap(b, settings)
    drawn = {name: drawn_a[name] - drawn_b[name] for name in ("accuracy", "auroc") if drawn_a}
    table = [[int(((a.flag == i) & (b.flag == j)).sum()) for j in (0, 1)] for i in (0, 1)]
    kappa = cohen_kappa(table)
    return Pair(
        first=first,
        second=second,
        rows=len(a.rows),
        only_first=only_a,
        only_second=only_b,
        p=mcnemar(only_a, only_b, len(a.rows)).p,
        p_holm=1.0,
        accuracy=_difference(_mean(right_a) - _mean(right_b), drawn.get("accuracy"), settings),
        auroc=_difference(auroc(a.score, a.label) - auroc(b.score, b.label), drawn.get("auroc"), settings),
        p_auroc=_chance(drawn.get("auroc")),
        p_auroc_holm=None,
        agree=_plain(_mean(a.flag == b.flag)),
        kappa=_plain(kappa),
    )


def shared(first: Verdicts, second: Verdicts) -> tuple[Verdicts, Verdicts]:
    """Return both on the rows that both assessed, in the same order."""
    places = {row.id: i for i, row in enumerate(second.rows)}
    both = [
        (i, places[row.id])
        for i, row in enumerate(first.rows)
        if row.id in places and first.assessed[i] and second.assessed[places[row.id]]
    ]
    index = np.array(both, dtype=np.intp).reshape(-1, 2)
    return first.at(index[:, 0]), second.at(index[:, 1])


def _difference(value: float, drawn: NDArray[np.float64] | None, settings: Settings) -> Estimate:
    if math.isnan(value):
        return Estimate()
    drawn = np.empty(0) if drawn is None else drawn[~np.isnan(drawn)]
    if not len(drawn):
        return Estimate(value=value)
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(value=value, low=float(low), high=float(high))


def _chance(drawn: NDArray[np.float64] | None) -> float | None:
    """Return the two-sided bootstrap p-value: twice the share of draws on the rarer side of 0, never 0."""
    drawn = np.empty(0) if drawn is None else drawn[~np.isnan(drawn)]
    if not len(drawn):
        return None
    rarer = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(2 * (rarer + 1) / (len(drawn) + 1), 1.0)


def _holm(values: Sequence[float | None]) -> list[float | None]:
    known = {i: p for i, p in enumerate(values) if p is not None}
    adjusted = dict(zip(known, holm(list(known.values())).tolist(), strict=True)) if known else {}
    return [adjusted.get(i) for i in range(len(values))]


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else math.nan


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
