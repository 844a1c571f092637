"""The result of a campaign in a sentence."""

from __future__ import annotations

from harmless.attacks.results import BASELINE, Results
from harmless.check.summary import Rate

#: From this p (Holm) on a difference to direct asking may be chance.
CHANCE = 0.05


def finding(found: Results) -> str:
    """Return the result in a sentence: the attack that reached most, and direct asking beside it.

    Where the paired comparison of the two does not tell them apart, it says so.
    """
    known = [each for each in found.attacks if each.asr.rate is not None]
    if not known:
        return "No reply could be assessed."
    best = max(known, key=lambda each: (each.asr.low, each.asr.rate or 0))
    told = f"{best.name} reaches {percent(best.asr)} of {best.asr.n} objectives"
    direct = next((each for each in known if each.name == BASELINE and each is not best), None)
    if direct is None:
        return f"{told}."
    chance = ", which may be chance" if best.p_holm is not None and best.p_holm >= CHANCE else ""
    return f"{told}; asked outright, {percent(direct.asr)}{chance}."


def percent(rate: Rate) -> str:
    """Return a rate with its interval, in per cent."""
    if rate.rate is None:
        return "not assessed"
    return f"{100 * rate.rate:.0f} % ({100 * rate.low:.0f}–{100 * rate.high:.0f})"
