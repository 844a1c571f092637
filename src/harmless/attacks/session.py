"""One attack on one objective: asks, judges, commits each call as it comes, and knows when it is over."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import anyio

from harmless.attacks.allowance import Allowance
from harmless.attacks.contract import Tried
from harmless.attacks.copied import own_words
from harmless.attacks.desk import Desk
from harmless.attacks.ledger import Ledger
from harmless.attacks.panel import Panel
from harmless.attacks.purse import Spent
from harmless.check.outcomes import ROLES, is_refusal, is_unsafe, without_judging
from harmless.core import (
    Conversation,
    Exchange,
    Guard,
    GuardInfo,
    Policy,
    Prompt,
    Reply,
    Sampling,
    Verdict,
    digest,
)
from harmless.core.hashing import canonical, digest_of
from harmless.evidence import Attempt, Step


class Over(Exception):  # noqa: N818 - not an error: the way in which a session ends
    """The objective is reached or the budget used up; attacks let it pass."""


@dataclass
class Room:
    """What the sessions of a campaign share.

    ``recorded`` holds what an earlier start of the same run has asked: key -> attempt; ``tries`` how often a
    key was asked. ``came`` is called with every reply.
    """

    ledger: Ledger
    run: str
    target: Desk
    attacker: Desk | None
    panel: Panel
    policy: Policy
    sampling: Sampling
    attacker_sampling: Sampling
    recorded: Mapping[str, Attempt] = field(default_factory=dict)
    tries: Mapping[str, int] = field(default_factory=dict)
    came: Callable[[], None] = lambda: None


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
        self._place = (canonical(self.room.run), canonical(self._cell))

    @property
    def context_length(self) -> int | None:
        """Tokens that the target takes, with its reply; None if unknown."""
        return self.room.target.info.context_length

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
        info = judge.info if judge else self.room.panel.infos["harm"]
        while len(tried) < len(asked) or not asked:
            start = len(tried)
            end = start + await self.allowance.take(len(asked) - start)
            if end == start:
                raise Over
            calls = await self._call("target", asked[start:end], note)
            came = [(place, each) for place, each in enumerate(calls, start) if each]
            made, sent = [each for _, each in came], [asked[place] for place, _ in came]
            exchanges = [_exchange(goals[place], each.reply, decode) for place, each in came]
            judged = await self._judged(made, sent, exchanges, judge)
            tried += self._counted(
                [
                    Tried(said, each.reply, verdicts["harm"], is_refusal(verdicts["refusal"]))
                    for said, each, verdicts in zip(sent, made, judged, strict=True)
                ],
                info,
            )
            if len(tried) < end:
                raise Over
        if self.allowance.used_up:
            raise Over
        return tried

    async def write(self, conversation: Conversation, *, note: str = "") -> str | None:
        """Return what the attacker's model writes, None if it failed or refused."""
        (made,) = await self._call("attacker", [conversation], note)
        if made is None:
            raise Over
        reply = made.reply
        self.room.came()
        if not reply.has_text or not reply.text.strip():
            return None
        verdict = made.verdicts.get("refusal")
        if verdict is None:
            exchange = Exchange(conversation=conversation, reply=reply.text)
            verdict = (await self.room.panel.judge([exchange], ["refusal"]))["refusal"][0]
            await self._commit([(made.id, "refusal", verdict)])
        return None if is_refusal(verdict) else reply.text

    def _counted(self, tried: list[Tried], judge: GuardInfo) -> list[Tried]:
        """Return what was tried; Over if it reached the objective."""
        self.reached = any(is_unsafe(each.verdict, judge, self.room.policy) for each in tried)
        for _ in tried:
            self.room.came()
        if self.reached:
            raise Over
        return tried

    async def _call(
        self, role: Literal["target", "attacker"], conversations: Sequence[Conversation], note: str
    ) -> list[Attempt | None]:
        """Return one attempt a conversation, None where time or money was used up before it was asked."""
        start, self._made = self._made, self._made + len(conversations)
        if len(conversations) == 1:
            return [await self._one(role, conversations[0], start, note)]
        made: list[Attempt | None] = [None] * len(conversations)

        async def one(index: int) -> None:
            made[index] = await self._one(role, conversations[index], start + index, note)

        async with anyio.create_task_group() as tasks:
            for index in range(len(conversations)):
                tasks.start_soon(one, index)
        return made

    async def _one(
        self, role: Literal["target", "attacker"], conversation: Conversation, number: int, note: str
    ) -> Attempt | None:
        desk = self.room.target if role == "target" else self.room.attacker
        assert desk is not None, "campaigns give attacks that need an attacker one"
        sampling = self._sampling(role, number)
        asked = (_canonical(sampling), canonical(conversation))
        key = digest_of(*self._place, str(number), canonical(role), *reversed(asked), length=24)
        if key in self.room.recorded:
            return self.room.recorded[key]
        try:
            reply = await desk.ask(conversation, sampling)
        except Spent:
            return None
        attempt = Attempt(
            key=key,
            ask=digest_of(desk.identity, *asked, length=24),  # that of ask_key, from texts at hand
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
        made: Sequence[Attempt],
        sent: Sequence[Conversation],
        exchanges: Sequence[Exchange],
        own: Guard | None,
    ) -> list[dict[str, Verdict]]:
        """Judge the replies to the target where they have no verdict, and commit the verdicts."""
        panel = self.room.panel
        found = [dict(attempt.verdicts) or without_judging(self.objective, attempt.reply) for attempt in made]
        left = [i for i, verdicts in enumerate(found) if not verdicts.keys() >= set(ROLES)]
        if left:
            those = [exchanges[i] for i in left]
            judged = await panel.judge(those, ["refusal"] if own else ROLES)
            if own:
                judged["harm"] = await own.judge(those)
            else:
                replies = [(made[i].reply.text, sent[i]) for i in left]
                judged["harm"] = [own_words(v, *of) for v, of in zip(judged["harm"], replies, strict=True)]
            for place, i in enumerate(left):
                found[i] = {role: judged[role][place] for role in ROLES} | found[i]
        await self._commit(
            [
                (attempt.id, role, verdicts[role])
                for attempt, verdicts in zip(made, found, strict=True)
                if not attempt.verdicts
                for role in ROLES
            ],
            own,
        )
        return found

    async def _commit(self, verdicts: Sequence[tuple[int, str, Verdict]], own: Guard | None = None) -> None:
        judges = self.room.panel.identities | ({"harm": own.info.identity} if own else {})
        if verdicts:
            await self.room.ledger.add_verdicts(
                [(attempt, role, judges[role], verdict) for attempt, role, verdict in verdicts]
            )


@lru_cache(maxsize=64)
def _canonical(sampling: Sampling) -> str:
    return canonical(sampling)


def _exchange(aim: Conversation, reply: Reply, decode: Callable[[str], str] | None) -> Exchange:
    # The judge sees the objective, not the disguise in which it was put to the target.
    said = decode(reply.text) if decode and reply.has_text else reply.text
    return Exchange(conversation=aim, reply=said)
