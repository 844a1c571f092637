"""Failure analysis: which failure modes a run has, how many it has not seen, and where to look further."""

from __future__ import annotations

from collections.abc import Sequence

from harmless.attacks.failures import failures, run_of
from harmless.attacks.modes import Mode, modes
from harmless.attacks.payoff import Payoff, payoff
from harmless.attacks.shorten import Shortened
from harmless.core.model import Model
from harmless.data.similar import Encoder
from harmless.evidence import Store
from harmless.stats import unseen


class Hidden(Model):
    """What was not seen: the chance that the next failing objective is of a new kind, and their number.

    ``mass`` is Good's and Turing's estimate, ``kinds`` Chao's lower bound of the number of which ``seen`` were
    seen. A kind is finer than a mode: two failures that are alike, or one that is like no others. Both hold for
    further objectives and attacks like those of the run.
    """

    mass: float | None
    low: float
    high: float
    seen: int
    kinds: float | None


class Analysis(Model):
    """The failures of a run: in modes, ``alone`` in none, and what is hidden.

    ``payoff`` is empty for a check, which asks once; ``shortest`` holds the prompts that were shortened, one a
    mode, in the order of the modes.
    """

    run: str
    kind: str
    target: str
    failures: int
    objectives: int
    modes: tuple[Mode, ...]
    alone: int
    unseen: Hidden
    payoff: tuple[Payoff, ...]
    shortest: tuple[Shortened, ...] = ()


def analyse(store: Store, run: str, encoder: Encoder) -> Analysis:
    """Return the analysis of a check or an attack.

    Raises:
        UnknownNameError: there is no such run.
        UsageError: the run is neither a check nor an attack.
        MissingExtraError: scikit-learn is not installed.
    """
    record = run_of(store, run)
    found = failures(store, record.id)
    alike, kinds = modes(found, encoder)
    return Analysis(
        run=record.id,
        kind=record.kind,
        target=record.target.name,
        failures=len(found),
        objectives=len({each.objective.id for each in found}),
        modes=tuple(alike),
        alone=len(found) - sum(mode.failures for mode in alike),
        unseen=_hidden(kinds, record.policy.confidence),
        payoff=tuple(payoff(store, record.id)) if record.kind == "attack" else (),
    )


def _hidden(kinds: Sequence[int], confidence: float) -> Hidden:
    estimate = unseen(kinds, confidence)
    known = estimate.mass.known
    return Hidden(
        mass=estimate.mass.rate if known else None,
        low=estimate.mass.low,
        high=estimate.mass.high,
        seen=len(kinds),
        kinds=estimate.kinds if known else None,
    )
