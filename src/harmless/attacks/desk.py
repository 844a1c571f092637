"""Where all sessions of a campaign ask: forms batches for the target, and keeps to its limits."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
import anyio.lowlevel

from harmless.attacks.door import Door
from harmless.attacks.purse import Purse, Spent
from harmless.check.plan import Budget
from harmless.core import Conversation, Reply, Sampling, Target
from harmless.core.hashing import canonical


@dataclass(eq=False)
class _Question:
    """A question that waits; ``under_way`` is set when its batch ends."""

    conversation: Conversation
    sampling: Sampling
    under_way: anyio.Event | None = None
    reply: Reply | None = None


class Desk:
    """Asks one target for many sessions at once.

    Questions with the same sampling that wait at the same time go out as one batch, at most ``batch_size`` of
    the target; at most ``concurrency`` batches are under way. ``info`` is the target's, and
    ``identity`` its identity as canonical JSON. Once ``purse`` is empty no batch goes out, not even with
    questions that wait already; what is under way still comes.
    """

    def __init__(self, target: Target, purse: Purse | None = None) -> None:
        self.target, self.info = target, target.info
        self._purse = purse or Purse(Budget())
        self.identity = canonical(self.info.identity)
        self._door = Door(self.info.name, self.info.concurrency * self.info.batch_size)
        self._free = anyio.Semaphore(self.info.concurrency, fast_acquire=True)
        self._waiting: list[_Question] = []

    async def ask(self, conversation: Conversation, sampling: Sampling) -> Reply:
        """Return the target's reply; one that failed carries its cause.

        Raises:
            UnreachableError: the target only fails, or turns away.
            Spent: the purse is empty.
        """
        question = _Question(conversation, sampling)
        self._waiting.append(question)
        try:
            return self._door.passed(await self._answer(question))
        finally:
            if question in self._waiting:
                self._waiting.remove(question)

    async def _answer(self, question: _Question) -> Reply:
        if self.info.batch_size > 1:
            await anyio.lowlevel.checkpoint()  # others that ask at this moment join the batch
        while question.reply is None:
            if question.under_way:
                await question.under_way.wait()
                continue
            async with self._free:
                if question in self._waiting:
                    if self._purse.spent:
                        raise Spent
                    await self._send([question, *self._others(question)])
        return question.reply

    def _others(self, first: _Question) -> list[_Question]:
        same = (each for each in self._waiting if each is not first and each.sampling == first.sampling)
        return [each for _, each in zip(range(self.info.batch_size - 1), same, strict=False)]

    async def _send(self, batch: list[_Question]) -> None:
        """Ask for a batch; what was not answered, because the first was cancelled, waits again."""
        ended = anyio.Event()
        for each in batch:
            self._waiting.remove(each)
            each.under_way = ended
        try:
            replies = await self.target.reply([each.conversation for each in batch], batch[0].sampling)
            for each, reply in zip(batch, replies, strict=True):
                each.reply = reply
                self._purse.pay(reply)
        finally:
            for each in batch:
                each.under_way = None
            self._waiting += [each for each in batch[1:] if each.reply is None]
            ended.set()
