"""What a suite's own metric makes of a run: ``registry.yaml`` names one function for each.

Such a function takes the rows of a run and the confidence, and returns measures; it asks and judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module, resources
from typing import TypeAlias

import yaml

from harmless.check.observed import Row
from harmless.check.summary import Measure
from harmless.core.model import Model
from harmless.errors import UnknownNameError

Metric: TypeAlias = Callable[[Sequence[Row], float], list[Measure]]


class MetricEntry(Model):
    """One metric: ``make`` is the module of its function ``measures`` in this package.

    Without ``make`` a suite has no measures beside the unsafe rate, over-refusal and accuracy. ``likelihood``:
    the options are compared by the target's own log-probabilities, where it gives them; ``only``: in no other
    way.
    """

    name: str
    summary: str
    make: str | None = None
    likelihood: bool = False
    only: bool = False


def entry(name: str) -> MetricEntry:
    """Return what is known of a metric.

    Raises:
        UnknownNameError: there is none of that name.
    """
    try:
        return registry()[name]
    except KeyError:
        raise UnknownNameError("metric", name, registry()) from None


def measures(name: str, rows: Sequence[Row], confidence: float) -> list[Measure]:
    """Return the measures of the metric ``name``; none for a metric of a later version, or with no rows."""
    found = registry().get(name)
    if not rows or found is None or found.make is None:
        return []
    metric: Metric = import_module(f"{__name__}.{found.make}").measures
    return metric(rows, confidence)


@cache
def registry() -> dict[str, MetricEntry]:
    """Return all metrics by name."""
    text = (resources.files(__name__) / "registry.yaml").read_text(encoding="utf-8")
    return {name: MetricEntry(name=name, **fields) for name, fields in yaml.safe_load(text).items()}
