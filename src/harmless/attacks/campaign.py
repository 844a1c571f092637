"""A campaign: several attacks on the same objectives of one target, within a budget fixed beforehand."""

from __future__ import annotations

import secrets
import shlex
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple

import anyio

from harmless import __version__
from harmless.attacks.allowance import Allowance, Fixed
from harmless.attacks.bandit import Arm, Bandit, Place
from harmless.attacks.contract import Attack
from harmless.attacks.desk import Desk
from harmless.attacks.ledger import Ledger
from harmless.attacks.panel import Panel
from harmless.attacks.purse import Purse
from harmless.attacks.results import Results, results
from harmless.attacks.session import CellSession, Over, Room
from harmless.check.plan import Budget
from harmless.check.run import error_rates
from harmless.core import Guard, Policy, Prompt, Reply, Sampling, Target, digest
from harmless.errors import UnreachableError, UsageError
from harmless.evidence import Attempt, RunRecord, Store, now, run_lock

#: How the model that writes for the attacker is sampled: as in PAIR (Chao et al. 2023) but for the temperature,
#: there 1.0, at which small models lose the thread.
ATTACKER_SAMPLING = Sampling(temperature=0.7, top_p=0.9, max_tokens=200)


@dataclass(frozen=True, slots=True)
class CampaignOptions:
    """How a campaign is done.

    The calls of ``budget`` are those of the target; ``allocate`` says how they are divided over attacks and
    objectives: ``uniform`` is evenly, ``bandit`` by what has worked so far (:mod:`harmless.attacks.bandit`).
    Without them each attack has its own number of calls an objective. ``fresh`` starts a new run although the
    same command has one.
    """

    sampling: Sampling = field(default_factory=Sampling)
    attacker_sampling: Sampling = ATTACKER_SAMPLING
    budget: Budget = field(default_factory=Budget)
    allocate: Literal["uniform", "bandit"] = "uniform"
    seed: int = 0
    fresh: bool = False


@dataclass
class CampaignProgress:
    """Live counts: cells (attack and objective) that are done of those planned, and calls of the target."""

    planned: int = 0
    done: int = 0
    reached: int = 0
    calls: int = 0


class _Cell(NamedTuple):
    attack: Attack
    objective: Prompt
    place: int


async def attack(
    target: Target,
    objectives: Sequence[Prompt],
    attacks: Sequence[Attack],
    policy: Policy,
    store: Store,
    judges: Mapping[str, Guard],
    options: CampaignOptions | None = None,
    *,
    attacker: Target | None = None,
    started: Callable[[RunRecord, bool], None] = lambda run, resumed: None,
    observe: Callable[[CampaignProgress], None] = lambda _: None,
) -> Results:
    """Let every attack work on every objective, and return how often each succeeded.

    The same call on the same store goes on with a run that was cut off: the attacks run again over what was
    recorded, so nothing is asked twice and the result is that of an uninterrupted run. Calls that failed in a
    run that had ended are made again.

    Args:
        judges: the guards of the roles ``harm`` and ``refusal``; see :func:`harmless.check.load_judges`.
        attacker: the model that writes for attacks that need one.
        started: called once with the run, and whether it goes on.
        observe: called whenever a reply has come, or a cell is done.

    Raises:
        UsageError: no objective, no attack, one of them twice, an attack that needs an attacker and has none,
            a bandit without a number of calls, or a budget in US dollars for a target without prices.
        UnreachableError: the target only fails, or turns away, or not one reply came; what was tried is kept.
        EvidenceError: the store cannot be written, or another process works on the run.
    """
    options = options or CampaignOptions()
    _checked(objectives, attacks, attacker, options)
    options.budget.check(target.info)
    run, resumed = _run(store, target, objectives, attacks, policy, judges, options, attacker)
    with run_lock(store.path.parent, run.id):
        started(run, resumed)
        if store.state(run.id) != "finished" or store.done(run.id).keys() != store.tries(run.id).keys():
            purse = Purse(options.budget, sum(each.reply.cost_usd or 0.0 for each in store.attempts(run.id)))
            room = _room(store, run, target, attacker, judges, policy, options, purse)
            if resumed:
                store.add_event(run.id, "resumed")
            campaign = _Campaign(room, options, purse, observe)
            try:
                await campaign.work(objectives, attacks)
            except BaseExceptionGroup as group:
                error = _only(group)
                stopped = isinstance(error, UnreachableError)
                store.add_event(run.id, "aborted" if stopped else "interrupted", str(error) if stopped else "")
                raise error from None
            except anyio.get_cancelled_exc_class():
                store.add_event(run.id, "interrupted")
                raise
            store.add_event(run.id, "out_of_budget" if purse.spent else "finished")
    _answered(store, run.id)
    return results(store, run.id)


class _Campaign:
    """A campaign under way."""

    def __init__(
        self,
        room: Room,
        options: CampaignOptions,
        purse: Purse,
        observe: Callable[[CampaignProgress], None],
    ) -> None:
        self._room, self._options, self._purse, self._observe = room, options, purse, observe
        self._progress = CampaignProgress()
        #: Objectives with replies that an earlier start did not live to judge.
        self._unjudged = {each.position for each in room.recorded.values() if not each.verdicts}
        info = room.target.info
        self._slots = info.concurrency * info.batch_size
        room.came = self._came

    async def work(self, objectives: Sequence[Prompt], attacks: Sequence[Attack]) -> None:
        """Let every attack work on every objective within the budget."""
        # Objective by objective: what a budget leaves out, it leaves out for all attacks.
        cells = [_Cell(each, aim, place) for (place, aim), each in product(enumerate(objectives), attacks)]
        self._progress.planned = len(cells)
        await (self._bandit if self._options.allocate == "bandit" else self._uniform)(cells)

    async def _uniform(self, cells: Sequence[_Cell]) -> None:
        total = self._options.budget.calls
        share, rest = divmod(total, len(cells)) if total is not None else (0, 0)
        free = anyio.Semaphore(max(3 * self._slots, 8))

        async def work(cell: _Cell, calls: int) -> None:
            await self._cell(cell, Fixed(calls))
            free.release()

        async with anyio.create_task_group() as tasks:
            for number, cell in enumerate(cells):
                if calls := cell.attack.info.calls if total is None else share + (number < rest):
                    await free.acquire()
                    tasks.start_soon(work, cell, calls)

    async def _bandit(self, cells: Sequence[_Cell]) -> None:
        calls = self._options.budget.calls
        assert calls is not None, "that is checked before the run begins"
        at = {
            Place(Arm(c.attack.info.name, c.objective.hazard), c.place, c.attack.info.judge is not None): c
            for c in cells
        }
        bandit, begun = Bandit(list(at), calls, self._slots, self._options.seed), set[Place]()

        async def work(place: Place) -> None:
            place.reached = await self._cell(at[place], place.allowance)
            place.allowance.end()

        async with anyio.create_task_group() as tasks:
            while not self._purse.spent and (places := bandit.choose()):
                for place in places:
                    if place not in begun:
                        begun.add(place)
                        tasks.start_soon(work, place)
                for place in places:
                    await place.allowance.resting.wait()
                bandit.learn()
            bandit.close()

    async def _cell(self, cell: _Cell, allowance: Allowance) -> bool:
        """Let an attack work on an objective; return whether it was reached."""
        name, options = cell.attack.info.name, self._options
        session = CellSession(self._room, name, cell.objective, cell.place, allowance, options.seed)
        if not self._purse.spent or cell.place in self._unjudged:
            with suppress(Over):
                await cell.attack.run(session)
        self._progress.done += 1
        self._progress.reached += session.reached
        self._observe(self._progress)
        return session.reached

    def _came(self) -> None:
        self._progress.calls += 1
        self._observe(self._progress)


def _checked(
    objectives: Sequence[Prompt], attacks: Sequence[Attack], attacker: Target | None, options: CampaignOptions
) -> None:
    if not objectives or not attacks:
        raise UsageError("There is nothing to attack with, or for.", "Give objectives and at least one attack.")
    names = [each.info.name for each in attacks]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"The attack '{twice}' is there twice.", "Name each attack once.")
    if twice := next((name for name, n in Counter(each.id for each in objectives).items() if n > 1), None):
        raise UsageError(f"The objective '{twice}' is there twice.", "Give each id once.")
    needy = next((each.info.name for each in attacks if each.info.attacker), None)
    if needy and attacker is None:
        raise UsageError(
            f"The attack '{needy}' needs a model that writes for it.", "Name one: --attacker TARGET."
        )
    if options.allocate == "bandit" and options.budget.calls is None:
        raise UsageError("A bandit divides a number of calls.", "Give one, as in --budget 500calls.")


def _run(
    store: Store,
    target: Target,
    objectives: Sequence[Prompt],
    attacks: Sequence[Attack],
    policy: Policy,
    judges: Mapping[str, Guard],
    options: CampaignOptions,
    attacker: Target | None,
) -> tuple[RunRecord, bool]:
    """Return the run of this campaign and whether it was there before."""
    asked = [(p.id, p.content_hash) for p in objectives]
    infos = [each.info for each in attacks]
    samplings = (options.sampling, options.attacker_sampling if attacker else None)
    plan = digest(
        asked, [info.model_dump() for info in infos], samplings, options.seed, options.budget, options.allocate
    )
    guards = {role: guard.info for role, guard in judges.items()}
    key = digest(plan, target.info.identity, attacker and attacker.info.identity, guards, policy, length=24)
    found = None if options.fresh else store.latest_with_key(key)
    if found:
        return found, True
    record = RunRecord(
        id=secrets.token_hex(4),
        key=key,
        kind="attack",
        created_at=now(),
        suite=f"{len(objectives)} objectives",
        plan_hash=plan,
        target=target.info,
        guards=guards,
        policy=policy,
        sampling=options.sampling,
        options={
            "attacks": [info.model_dump() for info in infos],
            "attacker": attacker.info.model_dump() if attacker else None,
            "budget": options.budget.model_dump(),
            "allocate": options.allocate,
            "seed": options.seed,
            "judge_error_rates": error_rates(judges["harm"]),
            "version": __version__,
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        },
    )
    store.add_run(record, objectives)
    store.add_event(record.id, "started")
    return record, False


def _room(
    store: Store,
    run: RunRecord,
    target: Target,
    attacker: Target | None,
    judges: Mapping[str, Guard],
    policy: Policy,
    options: CampaignOptions,
    purse: Purse,
) -> Room:
    return Room(
        ledger=Ledger(store, run.id),
        run=run.id,
        target=Desk(target, purse),
        attacker=Desk(attacker, purse) if attacker else None,
        panel=Panel(judges),
        policy=policy,
        sampling=options.sampling,
        attacker_sampling=options.attacker_sampling,
        recorded=_recorded(store, run.id),
        tries=store.tries(run.id),
    )


def _recorded(store: Store, run: str) -> dict[str, Attempt]:
    """Return what need not be asked again: key -> attempt."""
    done = store.done(run)
    return {attempt.key: attempt for attempt in store.attempts(run) if attempt.key in done}


def _answered(store: Store, run: str) -> None:
    """UnreachableError if no reply came from the target, or from the writer if the target was not asked."""
    steps, replies = store.steps(run), defaultdict[str, list[Reply]](list)
    for attempt in store.attempts(run):
        replies[steps[attempt.id].role].append(attempt.reply)
    came = replies["target"] or replies["attacker"]
    if came and not any(each.has_text or each.withheld for each in came):
        causes = Counter(each.cause or each.status.value for each in came)
        told = "; ".join(f"{cause} ({count})" for cause, count in causes.most_common())
        raise UnreachableError(
            f"Not one reply came: {told}.",
            f"Look at the causes, then run the same command again (run {run}).",
        )


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return one of the exceptions that a group, or groups in it, hold; the group itself if they differ."""
    found = list(_leaves(group))
    return found[0] if len({type(each) for each in found}) == 1 else group


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
