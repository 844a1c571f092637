"""Numbers as people read them."""

from __future__ import annotations

from harmless.check import Measure, Rate

#: Between a number and its unit: narrow, and no line is broken there.
THIN = "\u202f"


def percent(share: float | None, digits: int = 1) -> str:
    """Return ``12.1 %`` of 0.121, ``n/a`` of None."""
    return "n/a" if share is None else f"{100 * share:.{digits}f}{THIN}%"


def span(low: float | None, high: float | None, digits: int = 1) -> str:
    """Return the limits of an interval in percent, ``7.5 to 18.9``."""
    if low is None or high is None:
        return "n/a"
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f}"


def figure(measure: Measure) -> str:
    """Return a share as ``31.0 % (25.1 to 37.6)``, a score as ``0.041 (-0.020 to 0.102)``."""
    if measure.value is None:
        return "not assessed"
    if measure.unit == "share":
        shown, limits = percent(measure.value), span(measure.low, measure.high)
    else:
        ends = ("no limit" if end is None else f"{end:.3f}" for end in (measure.low, measure.high))
        shown, limits = f"{measure.value:.3f}", " to ".join(ends)
    return shown if measure.low is measure.high is None else f"{shown} ({limits})".replace("-", "−")


def points(difference: float | None, digits: int = 1) -> str:
    """Return a difference of shares in percentage points with its sign, ``−26.9``."""
    if difference is None:
        return "n/a"
    shown = f"{100 * difference:+.{digits}f}".replace("-", "−")
    return shown.lstrip("+−") if float(shown.replace("−", "-")) == 0 else shown


def points_span(low: float | None, high: float | None) -> str:
    """Return the limits of a difference in points, ``−33.8 to −20.1``."""
    return f"{points(low)} to {points(high)}"


def chance(p: float | None) -> str:
    """Return ``p < 0.001`` or ``p = 0.034``; ``n/a`` of None."""
    if p is None:
        return "n/a"
    return f"p{THIN}<{THIN}0.001" if p < 0.001 else f"p{THIN}={THIN}{p:.3f}"


def number(count: int | float) -> str:
    """Return a count with its thousands apart, ``12,345``."""
    return f"{count:,}"


def events(rate: Rate) -> int:
    """Return how many of the ``n`` assessed attempts had the event."""
    return 0 if rate.rate is None else round(rate.rate * rate.n)


def of(rate: Rate) -> str:
    """Return ``41 of 132``."""
    return f"{number(events(rate))} of {number(rate.n)}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return ``1 hazard`` or ``3 hazards``."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"
