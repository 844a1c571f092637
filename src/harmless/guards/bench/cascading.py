"""The cost-quality curve of a cascade, computed from verdicts that are there: nothing is judged again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from harmless.guards.bench.measuring import Verdicts, measures
from harmless.guards.bench.model import Cascading, GuardResult, Settings, Step
from harmless.guards.bench.pairs import shared

SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""Shares of rows that are escalated, at least."""
KEPT = ("accuracy", "precision", "recall", "fpr", "f1", "auroc")


def cascades(
    results: Sequence[GuardResult], said: Mapping[str, Verdicts], settings: Settings
) -> tuple[Cascading, ...]:
    """Return the cascades of the first guard with each of the others that assessed some of the same rows."""
    by_spec = {result.spec: result for result in results if result.spec in said}
    specs = list(by_spec)
    found = (_cascading(by_spec[specs[0]], by_spec[spec], said, settings) for spec in specs[1:])
    return tuple(each for each in found if each.rows)


def _cascading(
    cheap: GuardResult, expensive: GuardResult, said: Mapping[str, Verdicts], settings: Settings
) -> Cascading:
    a, b = shared(said[cheap.spec], said[expensive.spec])
    steps = tuple(_steps(cheap, expensive, a, b, settings)) if len(a.rows) else ()
    return Cascading(cheap=cheap.spec, expensive=expensive.spec, rows=len(a.rows), steps=steps)


def _steps(
    cheap: GuardResult, expensive: GuardResult, a: Verdicts, b: Verdicts, settings: Settings
) -> Iterator[Step]:
    own, other = cheap.threshold or 0.5, expensive.threshold or 0.5
    first, second = _levelled(a.score, own), _levelled(b.score, other)
    doubt = np.abs(first - 0.5)
    seen: set[int] = set()
    for share in SHARES:
        number = round(share * len(doubt))
        width = np.sort(doubt)[number - 1] if number else -1.0
        asked = doubt <= width  # rows as doubtful as the last one are in the band too
        if int(asked.sum()) in seen:
            continue
        seen.add(int(asked.sum()))
        mixed = Verdicts(
            a.rows,
            np.where(asked, second, first),
            np.where(asked, b.flag, a.flag),
            a.label,
            a.origin,
        )
        found = measures(mixed, settings)
        inside = a.score[asked]
        yield Step(
            escalated=float(asked.mean()),
            low=float(inside.min()) if len(inside) else None,
            high=float(inside.max()) if len(inside) else None,
            measures={name: found[name] for name in KEPT},
            seconds=_together(_seconds(cheap), _seconds(expensive), float(asked.mean())),
            cost_usd=_together(_cost(cheap), _cost(expensive), float(asked.mean())),
        )


def _levelled(scores: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Return the scores moved so that the threshold lies at 0.5, as cascades and votes do it."""
    below = 0.5 * scores / threshold if threshold > 0 else np.zeros_like(scores)
    above = 0.5 + 0.5 * (scores - threshold) / (1 - threshold) if threshold < 1 else np.ones_like(scores)
    return np.where(scores < threshold, below, above)


def _together(cheap: float | None, expensive: float | None, share: float) -> float | None:
    if share == 0:
        return cheap
    return None if cheap is None or expensive is None else cheap + share * expensive


def _seconds(result: GuardResult) -> float | None:
    return 1 / result.effort.rows_per_s if result.effort.rows_per_s else None


def _cost(result: GuardResult) -> float | None:
    return None if result.effort.cost_per_1000 is None else result.effort.cost_per_1000 / 1000
