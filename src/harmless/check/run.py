"""One check from beginning to end: plan, find or open the run, ask, grade."""

from __future__ import annotations

import secrets
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from harmless import __version__, guards, taxonomy
from harmless.check import metrics
from harmless.check.early import EarlyStop
from harmless.check.grades import grade
from harmless.check.outcomes import ROLES, roles_of
from harmless.check.plan import Budget, Plan, in_scope
from harmless.check.runner import Progress, Runner, judges_of
from harmless.check.summary import Summary
from harmless.core import Expect, Guard, LogProbTarget, Policy, Sampling, Target, digest
from harmless.data import Suite
from harmless.errors import UnreachableError, UsageError
from harmless.evidence import RunRecord, Store, now, run_lock


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """How a check is done, beside target, suite and policy.

    ``samples`` asks each prompt that often; ``stop_early`` skips prompts of hazards that are settled;
    ``fresh`` starts a new run although the same command has one. ``likelihood`` compares options by the
    target's log-probabilities where the suite's metric wants that and the target gives them; without it
    letters are read.
    """

    sampling: Sampling = field(default_factory=Sampling)
    samples: int = 1
    order_seed: int = 0
    budget: Budget = field(default_factory=Budget)
    stop_early: bool = False
    fresh: bool = False
    likelihood: bool = True


@dataclass(frozen=True, slots=True)
class Start:
    """What is known when a run starts or goes on; for the caller to show."""

    run: RunRecord
    plan: Plan
    resumed: bool
    made: int


def load_judges(spec: str, policy: Policy, suite: Suite | None = None) -> dict[str, Guard]:
    """Return the guards of the roles in a check: that of ``spec`` for harm, and ``refusal``.

    None are loaded for a suite that has only questions with options.
    """
    if suite and not any(set(ROLES) & set(roles_of(prompt)) for prompt in suite.prompts):
        return {}
    return {"harm": guards.load(spec, policy), "refusal": guards.load("refusal", policy)}


async def check(
    target: Target,
    suite: Suite,
    policy: Policy,
    store: Store,
    judges: Mapping[str, Guard],
    options: CheckOptions | None = None,
    *,
    started: Callable[[Start], None] = lambda _: None,
    observe: Callable[[Progress], None] = lambda _: None,
) -> Summary:
    """Ask ``target`` the prompts of ``suite``, judge the replies and return rates and grades.

    The same call on the same store goes on with a run that was cut off, and returns a finished one as it is
    (failed attempts are made again).

    Args:
        judges: the guard of each role that the suite needs, ``harm`` and ``refusal``; see :func:`load_judges`.
        started: called once before the first prompt is asked.
        observe: called with the live counts after every batch.

    Raises:
        UsageError: a question without options, a suite that needs likelihoods that the target does not give, or
            a budget in US dollars for a target whose replies do not carry their cost.
        UnreachableError: the target or a guard in front of it only fails, or not one reply could be assessed.
        EvidenceError: the store cannot be written, or another process works on the run.
    """
    options = options or CheckOptions()
    options.budget.check(target.info)
    plan = _plan(in_scope(suite, policy), target, options)
    run, resumed = _run(store, plan, target, judges, policy, options)
    with run_lock(store.path.parent, run.id):
        started(Start(run, plan, resumed, len(store.done(run.id))))
        early = EarlyStop(plan, policy) if options.stop_early else None
        runner = Runner(
            store, run.id, plan, target, judges, policy, options.budget, early=early, observe=observe
        )
        await _ask(runner, store, run.id)
    summary = grade(store, store.run(run.id))
    if summary.unsafe.n + summary.over_refusal.n + sum(measure.n for measure in summary.measures) == 0:
        causes = "; ".join(f"{cause} ({count})" for cause, count in summary.causes.items())
        raise UnreachableError(
            f"Nothing could be assessed: {causes or 'no prompt was asked'}.",
            f"Look at the causes, then run the same command again (run {run.id}).",
        )
    return summary


def _plan(suite: Suite, target: Target, options: CheckOptions) -> Plan:
    questions = [prompt for prompt in suite.prompts if prompt.expect is Expect.CHOOSE]
    if bare := next((prompt for prompt in questions if not prompt.options), None):
        raise UsageError(
            f"The question '{bare.id}' has no options to choose from.", "Use a set of the catalog."
        )
    metric = metrics.entry(suite.metric)
    likelihood = options.likelihood and metric.likelihood and isinstance(target, LogProbTarget)
    if not likelihood and (metric.only or any(not prompt.conversation for prompt in questions)):
        raise UsageError(
            f"{suite.name} compares the likelihood of texts, which {target.info.name} does not give.",
            "Check embedded, embedded:FILE.gguf or hf:PATH.",
        )
    return Plan(
        suite=suite.name,
        prompts=suite.prompts,
        sampling=options.sampling,
        samples=options.samples,
        order_seed=options.order_seed,
        likelihood=likelihood,
        metric=suite.metric,
    )


async def _ask(runner: Runner, store: Store, run: str) -> None:
    try:
        state = await runner.ask_all()
    except UnreachableError as error:
        store.add_event(run, "aborted", error.message)
        raise
    except BaseExceptionGroup as group:  # anyio wraps what a worker raised
        if len(group.exceptions) == 1 and isinstance(group.exceptions[0], Exception):
            raise group.exceptions[0] from None
        raise
    except anyio.get_cancelled_exc_class():
        store.add_event(run, "interrupted")
        raise
    store.add_event(run, state)


def _run(
    store: Store, plan: Plan, target: Target, judges: Mapping[str, Guard], policy: Policy, options: CheckOptions
) -> tuple[RunRecord, bool]:
    """Return the run of this command and whether it was there before."""
    infos = judges_of(plan, judges)
    key = digest(plan.hash, target.info.identity, infos, policy, options.stop_early, length=24)
    found = None if options.fresh else store.latest_with_key(key)
    if found:
        store.add_event(found.id, "resumed")
        return found, True
    run = RunRecord(
        id=secrets.token_hex(4),
        key=key,
        kind="check",
        created_at=now(),
        suite=plan.suite,
        plan_hash=plan.hash,
        target=target.info,
        guards=infos,
        policy=policy,
        sampling=plan.sampling,
        options=_provenance(plan, judges.get("harm"), options),
    )
    store.add_run(run, plan.prompts)
    store.add_event(run.id, "started")
    return run, False


def _provenance(plan: Plan, judge: Guard | None, options: CheckOptions) -> dict[str, Any]:
    """Return what grading and reproducing a run need beside its own columns."""
    return {
        "samples": plan.samples,
        "order_seed": plan.order_seed,
        "metric": plan.metric,
        "likelihood": plan.likelihood,
        "stop_early": options.stop_early,
        "judge_error_rates": error_rates(judge),
        "taxonomy": taxonomy.load().version,
        "version": __version__,
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def error_rates(judge: Guard | None) -> dict[str, float] | None:
    """Return what the judge says of its errors, under the names of :class:`harmless.stats.ErrorRates`."""
    known: Mapping[str, float] | None = getattr(judge, "error_rates", None)
    if not known:
        return None
    counts = {"positives": "n_unsafe", "negatives": "n_safe"}
    names = ("sensitivity", "positives", "specificity", "negatives")
    return {name: known[name if name in known else counts[name]] for name in names}
