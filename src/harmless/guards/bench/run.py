"""A benchmark from rows and guards to its document."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from harmless import __version__
from harmless.core import Exchange, Guard, Outcome, Policy, Verdict
from harmless.data import Labelled
from harmless.errors import UnreachableError
from harmless.guards import registry
from harmless.guards.bench import measuring, pairs
from harmless.guards.bench.asking import Log, ask
from harmless.guards.bench.cascading import cascades
from harmless.guards.bench.caveats import notes
from harmless.guards.bench.measuring import Verdicts
from harmless.guards.bench.model import Bench, Estimate, GuardResult, Kept, Settings
from harmless.guards.bench.rows import Rows
from harmless.guards.bench.transforms import TRANSFORMS, transformed
from harmless.stats import clustered_rate

ROBUST = 100
"""Prompts that are transformed, where nothing leaves the machine and the user does not say."""

Progress = Callable[[str, int, int], None]


@dataclass
class _Side:
    """One guard at work: what it was named, itself, the rows it can judge, what it said of them."""

    spec: str
    guard: Guard
    rows: list[Labelled]
    verdicts: list[Verdict] = field(default_factory=list)


async def bench(
    specs: Sequence[str],
    rows: Rows,
    policy: Policy,
    settings: Settings,
    log: Log,
    progress: Progress = lambda spec, done, of: None,
) -> Bench:
    """Let each guard judge the rows, and return what came of it.

    Guards work one after the other, so that one's latency is not another's. A guard that cannot be reached is
    in the document as such, beside the others' results.

    Args:
        specs: guards as :func:`harmless.guards.load` takes them; the same twice is measured once.
        rows: with labels; a guard is asked about those that it sees.
        policy: thresholds.
        settings: seed, bootstrap, taxonomy; ``robust`` is how many prompts are transformed, None for 100 where
            nothing leaves the machine.
        log: keeps the verdicts.
        progress: told the guard, how many rows are done, and of how many.

    Raises:
        UnknownNameError, UsageError, MissingExtraError: of :func:`harmless.guards.load`, before any guard is
            asked.
    """
    measuring.keys_of(settings.taxonomy)  # a mistake is told before guards are asked
    loaded: dict[str, Guard | UnreachableError] = {spec: _loaded(spec, policy) for spec in dict.fromkeys(specs)}
    results, said = [], dict[str, Verdicts]()
    for spec, guard in loaded.items():
        if isinstance(guard, UnreachableError):
            failed = {str(guard): len(rows.items)}
            results.append(GuardResult(spec=spec, reached=False, causes=failed))
            continue
        try:
            result, found = await _judged(spec, guard, rows, policy, settings, log, progress)
        finally:
            await _close(guard)
        results.append(result)
        if result.reached:
            said[spec] = found
    return Bench(
        version=__version__,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        data=rows.summary(),
        settings=settings.model_copy(update={"policy": policy.name}),
        guards=tuple(results),
        pairs=pairs.compare(said, settings),
        contested=measuring.contested(said),
        cascades=cascades(results, said, settings) if settings.cascade else (),
        notes=tuple(notes(results, rows)),
    )


def _loaded(spec: str, policy: Policy) -> Guard | UnreachableError:
    try:
        return registry.load(spec, policy)
    except UnreachableError as error:
        return error


async def _close(guard: Guard) -> None:
    """Let a guard give back what it holds (a model, connections), so that the next one has the room."""
    close = getattr(guard, "aclose", None)
    if close is not None:
        await close()


async def _judged(
    spec: str, guard: Guard, rows: Rows, policy: Policy, settings: Settings, log: Log, progress: Progress
) -> tuple[GuardResult, Verdicts]:
    info = guard.info
    side = _Side(spec, guard, [row for row in rows.items if _sees(guard, row.exchange)])
    asked = await ask(
        guard, [row.exchange for row in side.rows], log, lambda done, of: progress(spec, done, of)
    )
    side.verdicts = asked.verdicts
    found = Verdicts.of(info, side.rows, side.verdicts, policy)
    hazards, sources = measuring.slices(found, settings)
    rule = policy.guards.get(info.name)
    reached = bool(found.assessed.any()) or not side.rows
    result = GuardResult(
        spec=spec,
        info=info,
        threshold=rule.threshold if rule else info.threshold,
        unseen=len(rows.items) - len(side.rows),
        reached=reached,
        counts=found.counts(),
        measures=measuring.measures(found, settings),
        hazards=hazards,
        sources=sources,
        effort=asked.effort,
        reliability=measuring.bins(found),
        curve=measuring.curve(found),
        robustness=await _robustness(side, policy, settings, log, progress) if reached else (),
        causes=dict(Counter(v.reason for v in side.verdicts if v.outcome is Outcome.UNASSESSED).most_common()),
    )
    return result, found


def _sees(guard: Guard, exchange: Exchange) -> bool:
    return guard.info.sees in ("both", "prompt" if exchange.reply is None else "reply")


async def _robustness(
    side: _Side, policy: Policy, settings: Settings, log: Log, progress: Progress
) -> tuple[Kept, ...]:
    """Judge a sample of the prompts under each transform; replies are not the user's to disguise."""
    number = settings.robust
    if number is None:
        number = 0 if side.guard.info.leaves_machine else ROBUST
    usable = [row for row in side.rows if row.exchange.reply is None and row.exchange.prompt.strip()]
    if not number or not usable:
        return ()
    sample = Rows("", "", tuple(usable)).limited(number, settings.seed).items
    plain = Verdicts.of(side.guard.info, sample, _known(side, sample), policy)
    changed = {name: [transformed(r.exchange, name, settings.seed) for r in sample] for name in TRANSFORMS}
    asked = await ask(
        side.guard,
        [exchange for exchanges in changed.values() for exchange in exchanges],
        log,
        lambda done, of: progress(f"{side.spec}, transformed", done, of),
    )
    kept = []
    for number, name in enumerate(changed):
        said = asked.verdicts[number * len(sample) : (number + 1) * len(sample)]
        kept.append(_kept(name, plain, Verdicts.of(side.guard.info, sample, said, policy), settings))
    return tuple(kept)


def _known(side: _Side, sample: Sequence[Labelled]) -> list[Verdict]:
    verdicts: Mapping[str, Verdict] = {
        row.id: verdict for row, verdict in zip(side.rows, side.verdicts, strict=True)
    }
    return [verdicts[row.id] for row in sample]


def _kept(name: str, plain: Verdicts, changed: Verdicts, settings: Settings) -> Kept:
    unsafe, safe = plain.label == 1, plain.label == 0
    return Kept(
        transform=name,
        rows=len(plain.rows),
        unassessed=int((~changed.assessed).sum()),
        recall_before=_share(plain.flag[unsafe]),
        recall=_estimate(changed, unsafe, settings),
        kept=_estimate(changed, unsafe & (plain.flag == 1), settings),
        fpr_before=_share(plain.flag[safe]),
        fpr=_estimate(changed, safe, settings),
    )


def _share(flags: NDArray[np.float64]) -> float | None:
    flags = flags[~np.isnan(flags)]
    return float(flags.mean()) if len(flags) else None


def _estimate(found: Verdicts, among: NDArray[np.bool_], settings: Settings) -> Estimate:
    """Return the share flagged among some rows; what is unassessed widens the interval."""
    if not among.any():
        return Estimate()
    of = clustered_rate(found.flag[among], found.origin[among], settings.confidence)
    return Estimate(value=None if math.isnan(of.rate) else of.rate, low=of.low, high=of.high)
