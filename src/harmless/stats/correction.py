"""Rates corrected for the errors of an automated judge, which is a measuring instrument."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harmless.stats.distributions import two_sided_z
from harmless.stats.intervals import FEW_EVENTS, Interval, binomial

LEAST_INFORMATIVE = 0.1


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """How often a judge is right, measured on labelled rows.

    ``sensitivity`` is the share flagged of ``positives`` rows with the event, ``specificity`` the share not
    flagged of ``negatives`` rows without it. Raises ``ValueError`` on shares outside [0, 1] or no rows.
    """

    sensitivity: float
    positives: int
    specificity: float
    negatives: int

    def __post_init__(self) -> None:
        if not (0 <= self.sensitivity <= 1 and 0 <= self.specificity <= 1):
            raise ValueError("sensitivity and specificity lie between 0 and 1")
        if self.positives < 1 or self.negatives < 1:
            raise ValueError("sensitivity and specificity need labelled rows of both classes")


@dataclass(frozen=True, slots=True)
class Corrected(Interval):
    """A corrected rate with its interval and standard error.

    ``refusal`` says why there is no correction, if so: the rate is then NaN within 0 and 1 and must not be
    shown as a result. ``tuning`` is the weight that the judge's verdicts got (prediction-powered only).
    """

    se: float
    refusal: str = ""
    tuning: float = math.nan


def _refused(reason: str) -> Corrected:
    return Corrected(math.nan, 0.0, 1.0, math.nan, reason)


def rogan_gladen(flagged: float, n: float, judge: ErrorRates, confidence: float = 0.95) -> Corrected:
    """Return the true rate behind ``flagged`` of ``n`` rows, given the judge's error rates.

    Estimate and standard error: Rogan and Gladen 1978, clipped to [0, 1]. Limits: Lang and Reiczigel 2014,
    which keep their coverage for small samples and rates near 0. ``flagged`` and ``n`` may be effective
    counts (:func:`harmless.stats.clusters.clustered_rate`). Sensitivity and specificity must hold for these
    rows too, as they do if the mix of cases within each class is the same.

    Refuses (see :class:`Corrected`) if nothing was judged; if the lower limit of sensitivity + specificity
    - 1 is not above 0.1, for such a judge hardly tells the classes apart; and if no rate in [0, 1] explains
    the flags, for then the error rates do not hold here. Raises ``ValueError`` if flagged is not within n.
    """
    if not 0 <= flagged <= n:
        raise ValueError(f"flagged must lie between 0 and n, not {flagged} of {n}")
    z = two_sided_z(confidence)
    if n == 0:
        return _refused("nothing was judged")
    weakest = _informedness(judge) - z * math.sqrt(sum(_class_variances(judge)))
    if weakest <= LEAST_INFORMATIVE:
        return _refused(
            f"the judge tells the classes apart too poorly: sensitivity + specificity - 1 may be {weakest:.2f}"
        )
    shown = flagged / n
    rate = min(max((shown + judge.specificity - 1) / _informedness(judge), 0.0), 1.0)
    se = _standard_error(rate, shown * (1 - shown) / n, judge)
    low, high = _lang_reiczigel(flagged, n, judge, z)
    if high <= 0 or low >= 1:
        return _refused(
            f"the judge's error rates do not hold here: no true rate explains {flagged} flagged of {n}"
        )
    return Corrected(rate, min(max(low, 0.0), rate), max(min(high, 1.0), rate), se)


def _informedness(judge: ErrorRates) -> float:
    return judge.sensitivity + judge.specificity - 1


def _class_variances(judge: ErrorRates) -> tuple[float, float]:
    se, sp = judge.sensitivity, judge.specificity
    return se * (1 - se) / judge.positives, sp * (1 - sp) / judge.negatives


def _standard_error(rate: float, shown_variance: float, judge: ErrorRates) -> float:
    positive, negative = _class_variances(judge)
    variance = shown_variance + rate**2 * positive + (1 - rate) ** 2 * negative
    return math.sqrt(variance) / abs(_informedness(judge))


def _lang_reiczigel(flagged: float, n: float, judge: ErrorRates, z: float) -> tuple[float, float]:
    padded = ErrorRates(
        (judge.sensitivity * judge.positives + 1) / (judge.positives + 2),
        judge.positives + 2,
        (judge.specificity * judge.negatives + 1) / (judge.negatives + 2),
        judge.negatives + 2,
    )
    rows = n + z * z
    shown = (flagged + z * z / 2) / rows
    rate = (shown + padded.specificity - 1) / _informedness(padded)
    positive, negative = _class_variances(padded)
    shift = 2 * z * z * (rate * positive - (1 - rate) * negative)
    half = z * _standard_error(rate, shown * (1 - shown) / rows, padded)
    return rate + shift - half, rate + shift + half


def prediction_powered(
    labels: ArrayLike,
    judged: ArrayLike,
    unlabelled: ArrayLike,
    *,
    tuning: float | None = None,
    confidence: float = 0.95,
) -> Corrected:
    """Return a rate from few human labels and many verdicts, whatever the judge's errors.

    ``labels`` and ``judged`` are truth and verdict (0/1, or scores in [0, 1] for the verdict) of the n
    labelled rows; ``unlabelled`` are the verdicts of N more. The labelled rows must be a random sample of
    the same population, and all rows independent. ``tuning`` is the weight of the verdicts: 1 is
    prediction-powered inference (Angelopoulos et al., Science 2023), 0 the labels alone, None the weight of
    least variance (PPI++, Angelopoulos, Duchi and Zrnic 2023). With fewer than 5 labelled events or
    non-events the normal limits cannot be trusted: the result is then that of the labels alone, tuning 0.
    Refuses if nothing is labelled. Raises ``ValueError`` on values outside [0, 1], labels other than 0 and
    1, different lengths, or tuning outside [0, 1].
    """
    z = two_sided_z(confidence)
    y, f, more = _unit(labels), _unit(judged), _unit(unlabelled)
    if y.shape != f.shape or not np.isin(y, (0, 1)).all():
        raise ValueError("each labelled row needs a label of 0 or 1 and a verdict")
    if tuning is not None and not 0 <= tuning <= 1:
        raise ValueError(f"tuning lies between 0 and 1, not {tuning}")
    n, extra = len(y), len(more)
    if n == 0:
        return _refused("no row is labelled")
    events = int(y.sum())
    if min(events, n - events) < FEW_EVENTS or extra == 0:
        return _labels_alone(events, n, confidence)
    weight = _best_tuning(y, f, extra) if tuning is None else tuning
    if weight == 0:
        return _labels_alone(events, n, confidence)
    rate = weight * float(more.mean()) + float((y - weight * f).mean())
    se = math.sqrt(weight**2 * float(more.var()) / extra + float((y - weight * f).var()) / n)
    low, high = max(rate - z * se, 0.0), min(rate + z * se, 1.0)
    rate = min(max(rate, 0.0), 1.0)
    return Corrected(rate, min(low, rate), max(high, rate), se, tuning=weight)


def _unit(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not ((array >= 0) & (array <= 1)).all():
        raise ValueError("labels and verdicts are one row of numbers between 0 and 1")
    return array


def _best_tuning(y: NDArray[np.float64], f: NDArray[np.float64], extra: int) -> float:
    variance = float(f.var())
    if variance == 0:
        return 0.0
    covariance = float(((y - y.mean()) * (f - f.mean())).mean())
    return min(max(covariance / ((1 + len(y) / extra) * variance), 0.0), 1.0)


def _labels_alone(events: int, n: int, confidence: float) -> Corrected:
    found = binomial(events, n, confidence)
    se = math.sqrt(found.rate * (1 - found.rate) / n)
    return Corrected(found.rate, found.low, found.high, se, tuning=0.0)
