"""What can be read off the states of each layer, tested on prompts that the probe has not seen.

That something can be read off does not show that the model uses it; see the directions for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources

import numpy as np
import yaml
from numpy.typing import NDArray

from harmless.core.model import Model
from harmless.internals.probe import folds_of, held_out
from harmless.stats import auroc, cluster_bootstrap

LEAST = 10
"""Rows of either class below which nothing is fitted."""


class Probed(Model):
    """How well a property is read off each layer.

    ``auroc`` by layer, from 0 (embedding), of log-odds on rows whose cluster was left out in fitting;
    ``best`` is the layer with the highest, ``low`` to ``high`` its 95 % interval (clusters drawn), a little
    optimistic because the layer was chosen by it. ``shuffled`` is the AUROC of that layer with labels dealt out
    anew among the rows. Where there are too few rows of a class, ``auroc`` is empty.
    """

    property: str
    rows: int
    positive: int
    clusters: int
    auroc: tuple[float, ...] = ()
    best: int | None = None
    low: float | None = None
    high: float | None = None
    shuffled: float | None = None


def probe_layers(
    name: str, states: NDArray[np.float32], labels: Sequence[bool], clusters: Sequence[str]
) -> Probed:
    """Return how well ``labels`` (n,) are read off ``states`` (n, layers, width), by cross-validation.

    Rows of one cluster are in the same fold. The probe is that of :mod:`harmless.internals.probe`.
    """
    y = np.asarray(labels, bool)
    groups = np.unique(np.asarray(clusters), return_inverse=True)[1]
    count = int(groups.max(initial=-1)) + 1
    bare = Probed(property=name, rows=len(y), positive=int(y.sum()), clusters=count)
    folds = folds_of(groups)
    if min(y.sum(), (~y).sum()) < LEAST or len(set(folds.tolist())) < 2:
        return bare
    scores = [held_out(states[:, layer], y, folds) for layer in range(states.shape[1])]
    areas = [float(auroc(each, y)) for each in scores]
    best = int(np.argmax(areas))
    interval = cluster_bootstrap(lambda rows: auroc(scores[best][rows], y[rows]), groups, resamples=500)
    mixed = y[np.random.default_rng(1).permutation(len(y))]
    control = float(auroc(held_out(states[:, best], mixed, folds), mixed))
    return bare.model_copy(
        update={
            "auroc": tuple(areas),
            "best": best,
            "low": interval.low,
            "high": interval.high,
            "shuffled": control,
        }
    )


@cache
def statements() -> tuple[tuple[str, bool, str], ...]:
    """Return statements with whether each is true, and their topic."""
    text = resources.files(__package__).joinpath("statements.yaml").read_text(encoding="utf-8")
    return tuple(
        (topic["sentence"].format(subject, said), said == right, name)
        for name, topic in yaml.safe_load(text).items()
        for subject, right, wrong in topic["facts"]
        for said in (right, wrong)
    )
