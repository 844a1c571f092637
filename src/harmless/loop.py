"""The main job: walk the loop once and prove the difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harmless import guards, report
from harmless.check import CheckOptions, Comparison, Progress, check, compare
from harmless.check.recorded import RecordedTarget
from harmless.check.run import Start
from harmless.core import Guard, Policy, Target
from harmless.data import Suite
from harmless.evidence import Store
from harmless.targets.guarded import GuardedTarget


@dataclass(frozen=True, slots=True)
class Made:
    """The outcome of :func:`make_harmless`: what changed, and where the report is."""

    comparison: Comparison
    report: Path


async def make_harmless(
    target: Target,
    guard: str,
    suite: Suite,
    policy: Policy,
    store: Store,
    judges: Mapping[str, Guard],
    options: CheckOptions,
    *,
    out: Path,
    started: Callable[[Start], None] = lambda _: None,
    observe: Callable[[Progress], None] = lambda _: None,
) -> Made:
    """Check ``target``, put ``guard`` in front of it, check again on the same prompts, write the report.

    The second check sees the replies of the first one where the guard lets a prompt pass, so the comparison
    is of the guard alone. Questions with options are answered by letter, as a guard changes no likelihood.
    Raises what :func:`harmless.check.check` raises.
    """
    options = replace(options, likelihood=False)
    before = await check(target, suite, policy, store, judges, options, started=started, observe=observe)
    guarded = GuardedTarget(guards.load(guard, policy), RecordedTarget(target, store), policy)
    after = await check(guarded, suite, policy, store, judges, options, started=started, observe=observe)
    paths = report.write(store, after.run, before=before.run, out=out)
    return Made(compare(store, before.run, after.run), paths[0])
