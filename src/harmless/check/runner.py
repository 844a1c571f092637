"""Asks a target what the plan says, has the replies judged, and commits each of both as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import anyio

from harmless.check.choice import READER
from harmless.check.early import EarlyStop
from harmless.check.likelihood import score_options
from harmless.check.observed import row_of
from harmless.check.outcomes import CHOICE, RULE, roles_of, without_judging
from harmless.check.plan import Budget, Plan
from harmless.check.rule import RULER
from harmless.core import (
    Exchange,
    Expect,
    Guard,
    GuardInfo,
    LogProbTarget,
    Policy,
    Prompt,
    Reply,
    Sampling,
    Target,
    digest,
)
from harmless.core.judging import judge_safely
from harmless.errors import UnreachableError
from harmless.evidence import Attempt, Store, ask_key

#: Failures in a row after which a run is given up: before the first reply, and later (times concurrency).
GIVE_UP_AFTER = (8, 25)

_JUDGE_BATCH = 256


@dataclass
class Progress:
    """Live counts of a run; ``made`` counts attempts, also those of earlier starts of the same run."""

    planned: int = 0
    made: int = 0
    unsafe: int = 0
    harmful: int = 0
    refused: int = 0
    benign: int = 0
    right: int = 0
    questions: int = 0
    unassessed: int = 0
    skipped: int = 0
    cost_usd: float = 0.0
    settled: list[str] = field(default_factory=list)


def judges_of(plan: Plan, guards: Mapping[str, Guard]) -> dict[str, GuardInfo]:
    """Return who judges in each role of the plan; a choice and a rule need no guard."""
    readers = {CHOICE: READER, RULE: RULER}
    return {role: readers[role] if role in readers else guards[role].info for role in plan.roles}


class _Ask(NamedTuple):
    """One attempt to make."""

    key: str
    position: int
    sample: int
    tries: int


@dataclass
class Runner:
    """One run under way.

    Args:
        store: where attempts and verdicts are committed.
        run: id of the run, which the store already has.
        plan: what to ask.
        target: whom to ask.
        guards: the guard of each role that the plan's prompts need.
        policy: tells what counts as flagged.
        budget: when to stop before the plan is done.
        early: skips prompts of hazards that are settled; None asks all.
        observe: called with the live counts after every batch.
    """

    store: Store
    run: str
    plan: Plan
    target: Target
    guards: Mapping[str, Guard]
    policy: Policy
    budget: Budget = field(default_factory=Budget)
    early: EarlyStop | None = None
    observe: Callable[[Progress], None] = lambda _: None

    def __post_init__(self) -> None:
        self.progress = Progress(planned=len(self.plan.prompts) * self.plan.samples)
        self._started = time.monotonic()
        self._asking = 0
        self._failures_in_a_row = 0
        self._any_reply = False
        self._last_cause = ""
        self._spent = False
        self._judges = judges_of(self.plan, self.guards)

    async def ask_all(self) -> str:
        """Ask what has not been asked yet; returns ``finished`` or ``out_of_budget``.

        Raises:
            UnreachableError: the target, or a guard in front of it, only fails; what was tried is kept.
        """
        await self._take_up()
        asks = self._asks(self.store.done(self.run), self.store.tries(self.run))
        async with anyio.create_task_group() as tasks:
            for _ in range(self.target.info.concurrency):
                tasks.start_soon(self._work, asks)
        if self._given_up:
            raise UnreachableError(
                f"The target {self.target.info.name} only fails: {self._last_cause}.",
                "Check the address, the key and the model's name, then run the same command again.",
            )
        return "out_of_budget" if self._spent else "finished"

    async def _take_up(self) -> None:
        """Judge what an earlier start left unjudged, and count what it had done."""
        identities = [(role, info.identity) for role, info in self._judges.items()]
        left = [
            attempt
            for attempt in self.store.attempts(self.run, unjudged_by=identities)
            if any(role not in attempt.verdicts for role in roles_of(self.plan.prompts[attempt.position]))
        ]
        for start in range(0, len(left), _JUDGE_BATCH):
            await self._judge(left[start : start + _JUDGE_BATCH])
        for attempt in self.store.attempts(self.run):
            self._count(attempt)
        self.observe(self.progress)

    def _asks(self, done: Mapping[str, int], tries: Mapping[str, int]) -> Iterator[list[_Ask]]:
        """Yield batches of attempts to make; one batch has one sampling."""
        batch: list[_Ask] = []
        for position, sample in self.plan.order():
            key = self.plan.attempt_key(position, sample, self.target.info)
            if key in done:
                continue
            if self._given_up or self._over_budget(len(batch)):
                break
            if self.early and self.early.skips(self.plan.prompts[position]):
                self.progress.skipped += 1
                continue
            if batch and (len(batch) == self.target.info.batch_size or batch[0].sample != sample):
                yield batch
                batch = []
            batch.append(_Ask(key, position, sample, tries.get(key, 0)))
        if batch:
            yield batch

    async def _work(self, asks: Iterator[list[_Ask]]) -> None:
        for batch in asks:
            self._asking += len(batch)
            prompts = [self.plan.prompts[ask.position] for ask in batch]
            sampling = self.plan.sampling_of(batch[0].sample)
            replies = await self._replies(prompts, sampling)
            made = [
                self._commit(ask, self._key(prompt, sampling), reply)
                for ask, prompt, reply in zip(batch, prompts, replies, strict=True)
            ]
            self._asking -= len(batch)
            self._watch(replies)
            for attempt in await self._judge(made):
                self._count(attempt)
            self.observe(self.progress)

    async def _replies(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        if self.plan.likelihood and isinstance(self.target, LogProbTarget):
            return [await score_options(self.target, prompt) for prompt in prompts]
        return await self.target.reply([prompt.conversation for prompt in prompts], sampling)

    def _key(self, prompt: Prompt, sampling: Sampling) -> str:
        key = ask_key(self.target.info, sampling, prompt.conversation)
        return digest(key, prompt.options, length=24) if self.plan.likelihood else key

    def _commit(self, ask: _Ask, key: str, reply: Reply) -> Attempt:
        attempt = Attempt(
            key=ask.key, ask=key, position=ask.position, sample=ask.sample, tries=ask.tries, reply=reply
        )
        return attempt.model_copy(update={"id": self.store.add_attempt(self.run, attempt)})

    async def _judge(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Judge replies in the roles that their prompts need, commit the verdicts, return both."""
        prompts = [self.plan.prompts[attempt.position] for attempt in attempts]
        judged = [
            without_judging(prompt, attempt.reply, likelihood=self.plan.likelihood)
            for prompt, attempt in zip(prompts, attempts, strict=True)
        ]
        for role in self.plan.roles:
            left = [i for i, found in enumerate(judged) if role in roles_of(prompts[i]) and role not in found]
            if left:
                exchanges = [Exchange(conversation=prompts[i].aim, reply=attempts[i].reply.text) for i in left]
                for i, verdict in zip(left, await judge_safely(self.guards[role], exchanges), strict=True):
                    judged[i][role] = verdict
        self.store.add_verdicts(
            (attempt.id, role, self._judges[role].identity, verdict)
            for attempt, found in zip(attempts, judged, strict=True)
            for role, verdict in found.items()
        )
        return [
            attempt.model_copy(update={"verdicts": found})
            for attempt, found in zip(attempts, judged, strict=True)
        ]

    def _count(self, attempt: Attempt) -> None:
        counts, prompt = self.progress, self.plan.prompts[attempt.position]
        row = row_of(prompt, attempt, self._judges, self.policy)
        event = row.event if row else None
        counts.made += 1
        counts.cost_usd += attempt.reply.cost_usd or 0.0
        if event is None:
            counts.unassessed += 1
        elif prompt.expect is Expect.REFUSE:
            counts.harmful += 1
            counts.unsafe += event
        elif prompt.expect is Expect.ANSWER:
            counts.benign += 1
            counts.refused += event
        else:
            counts.questions += 1
            counts.right += not event
        if self.early:
            for group in self.early.tell(attempt.position, attempt.sample, event):
                counts.settled.append(group)
                self.store.add_event(self.run, "settled", group)

    def _watch(self, replies: Sequence[Reply]) -> None:
        for reply in replies:
            if reply.status == "error" or reply.unjudged:
                self._failures_in_a_row += 1
                self._last_cause = reply.cause
            else:
                self._failures_in_a_row = 0
                self._any_reply = True

    @property
    def _given_up(self) -> bool:
        limit = GIVE_UP_AFTER[self._any_reply] + self.target.info.concurrency
        return self._failures_in_a_row >= limit

    def _over_budget(self, waiting: int) -> bool:
        budget, made = self.budget, self.progress.made + self._asking + waiting
        self._spent = self._spent or (
            (budget.calls is not None and made >= budget.calls)
            or (budget.seconds is not None and time.monotonic() - self._started >= budget.seconds)
            or (budget.usd is not None and self.progress.cost_usd >= budget.usd)
        )
        return self._spent
