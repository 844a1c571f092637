"""One attack on one objective: asks, judges, commits each call as it comes, and knows when it is over."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import anyio

from harmless.attacks.allowance import Allowance
from harmless.attacks.contract import Tried
from harmless.attacks.desk import Desk
from harmless.attacks.ledger import Ledger
from harmless.check.outcomes import ROLES, is_refusal, is_unsafe, without_judging
from harmless.core import Conversation, Exchange, Guard, Policy, Prompt, Reply, Sampling, digest
from harmless.evidence import Attempt, Step, ask_key


class Over(Exception):  # noqa: N818 - not an error: the way in which a session ends
    """The objective is reached or the budget used up; attacks let it pass."""


@dataclass
class Room:
    """What the sessions of a campaign share.

    ``recorded`` holds what an earlier start of the same run has asked: key -> attempt; ``tries`` how often a
    key was asked. ``spend`` is told each reply and returns whether the budget of time or money is used up.
    """

    ledger: Ledger
    run: str
    target: Desk
    attacker: Desk | None
    judges: Mapping[str, Guard]
    policy: Policy
    sampling: Sampling
    attacker_sampling: Sampling
    recorded: Mapping[str, Attempt] = field(default_factory=dict)
    tries: Mapping[str, int] = field(default_factory=dict)
    spend: Callable[[Reply], bool] = lambda reply: False


@dataclass
class CellSession:
    """The session of one cell (attack and objective) of a campaign.

    Args:
        room: what is shared.
        attack: name of the attack.
        objective: what to reach.
        place: the objective's place in the run.
        allowance: how often the target may be asked.
        seed: of the random numbers.
    """

    room: Room
    attack: str
    objective: Prompt
    place: int
    allowance: Allowance
    seed: int = 0
    reached: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._cell = digest(self.attack, self.objective.id, self.objective.content_hash, self.seed)
        self.random = random.Random(self._cell)
        self._made = 0

    @property
    def context_length(self) -> int | None:
        """Tokens that the target takes, with its reply; None if unknown."""
        return self.room.target.target.info.context_length

    @property
    def system(self) -> str | None:
        """System prompt that is sent before every conversation; None if there is none."""
        return self.room.sampling.system

    async def ask(
        self,
        conversations: Sequence[Conversation],
        *,
        note: str = "",
        decode: Callable[[str], str] | None = None,
        judge: Guard | None = None,
        aims: Sequence[Conversation] | None = None,
    ) -> list[Tried]:
        """Ask the target; see :class:`harmless.attacks.contract.Session`.

        Raises:
            Over: the objective is reached, or there is nothing left to spend.
            UnreachableError: the target only fails.
        """
        asked, tried = list(conversations), list[Tried]()
        goals = [self.objective.conversation] * len(asked) if aims is None else aims
        judges = {**self.room.judges, "harm": judge or self.room.judges["harm"]}
        while len(tried) < len(asked) or not asked:
            start = len(tried)
            end = start + await self.allowance.take(len(asked) - start)
            if end == start:
                raise Over
            made = await self._call("target", asked[start:end], note)
            exchanges = [
                _exchange(goal, each.reply, decode) for goal, each in zip(goals[start:end], made, strict=True)
            ]
            tried += self._counted(
                await self._judged(asked[start:end], made, exchanges, judges), judges["harm"]
            )
        if self.allowance.used_up:
            raise Over
        return tried

    async def write(self, conversation: Conversation, *, note: str = "") -> str | None:
        """Return what the attacker's model writes, None if it failed or refused."""
        made = await self._call("attacker", [conversation], note)
        reply = made[0].reply
        if self.room.spend(reply):
            raise Over
        if not reply.has_text or not reply.text.strip():
            return None
        refusal = self.room.judges["refusal"]
        verdict = made[0].verdicts.get("refusal")
        if verdict is None:
            exchange = Exchange(conversation=conversation, reply=reply.text)
            verdict = (await refusal.judge([exchange]))[0]
            await self.room.ledger.add_verdicts([(made[0].id, "refusal", refusal.info.identity, verdict)])
        return None if is_refusal(verdict) else reply.text

    def _counted(self, tried: list[Tried], judge: Guard) -> list[Tried]:
        """Return what was tried; Over if it is the last, by its success or its cost."""
        self.reached = any(is_unsafe(each.verdict, judge.info, self.room.policy) for each in tried)
        spent = [self.room.spend(each.reply) for each in tried]
        if self.reached or any(spent):
            raise Over
        return tried

    async def _call(
        self, role: Literal["target", "attacker"], conversations: Sequence[Conversation], note: str
    ) -> list[Attempt]:
        start, self._made = self._made, self._made + len(conversations)
        if len(conversations) == 1:
            return [await self._one(role, conversations[0], start, note)]
        made: list[Attempt | None] = [None] * len(conversations)

        async def one(index: int) -> None:
            made[index] = await self._one(role, conversations[index], start + index, note)

        async with anyio.create_task_group() as tasks:
            for index in range(len(conversations)):
                tasks.start_soon(one, index)
        return [attempt for attempt in made if attempt]

    async def _one(
        self, role: Literal["target", "attacker"], conversation: Conversation, number: int, note: str
    ) -> Attempt:
        desk = self.room.target if role == "target" else self.room.attacker
        assert desk is not None, "campaigns give attacks that need an attacker one"
        sampling = self._sampling(role, number)
        key = digest(self.room.run, self._cell, number, role, conversation, sampling, length=24)
        if key in self.room.recorded:
            return self.room.recorded[key]
        reply = await desk.ask(conversation, sampling)
        attempt = Attempt(
            key=key,
            ask=ask_key(desk.target.info, sampling, conversation),
            position=self.place,
            sample=number,
            tries=self.room.tries.get(key, 0),
            reply=reply,
        )
        step = Step(attack=self.attack, role=role, conversation=conversation, note=note)
        return await self.room.ledger.add(attempt, step)

    def _sampling(self, role: str, number: int) -> Sampling:
        """Return the sampling of one call; where it is not greedy each call has a seed of its own."""
        sampling = self.room.sampling if role == "target" else self.room.attacker_sampling
        if sampling.temperature == 0:
            return sampling
        return sampling.model_copy(update={"seed": int(digest(self._cell, number)[:7], 16)})

    async def _judged(
        self,
        asked: Sequence[Conversation],
        made: Sequence[Attempt],
        exchanges: Sequence[Exchange],
        judges: Mapping[str, Guard],
    ) -> list[Tried]:
        """Judge the replies to the target, and commit the verdicts."""
        found = [dict(attempt.verdicts) or without_judging(self.objective, attempt.reply) for attempt in made]

        async def judge(role: str) -> None:
            left = [i for i, verdicts in enumerate(found) if role not in verdicts]
            judged = await judges[role].judge([exchanges[i] for i in left]) if left else []
            for i, verdict in zip(left, judged, strict=True):
                found[i][role] = verdict

        async with anyio.create_task_group() as tasks:
            for role in ROLES:
                tasks.start_soon(judge, role)
        new = [
            (attempt.id, role, judges[role].info.identity, verdict)
            for attempt, verdicts in zip(made, found, strict=True)
            if not attempt.verdicts
            for role, verdict in verdicts.items()
        ]
        if new:
            await self.room.ledger.add_verdicts(new)
        return [
            Tried(conversation, attempt.reply, verdicts["harm"], is_refusal(verdicts["refusal"]))
            for conversation, attempt, verdicts in zip(asked, made, found, strict=True)
        ]


def _exchange(aim: Conversation, reply: Reply, decode: Callable[[str], str] | None) -> Exchange:
    # The judge sees the objective, not the disguise in which it was put to the target.
    said = decode(reply.text) if decode and reply.has_text else reply.text
    return Exchange(conversation=aim, reply=said)
