"""Where all sessions of a campaign ask: forms batches for the target, and keeps to its limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from harmless.attacks.door import Door
from harmless.core import Conversation, Reply, Sampling, Target


@dataclass
class _Question:
    conversation: Conversation
    sampling: Sampling
    answered: anyio.Event = field(default_factory=anyio.Event)
    reply: Reply | None = None


class Desk:
    """Asks one target for many sessions at once.

    Questions with the same sampling that wait at the same time go out as one batch, at most ``batch_size`` of
    the target; at most ``concurrency`` batches are under way.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._door = Door(target.info.name, target.info.concurrency * target.info.batch_size)
        self._send: MemoryObjectSendStream[_Question]
        self._receive: MemoryObjectReceiveStream[_Question]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Desk]:
        """Take questions while the block runs."""
        self._send, self._receive = anyio.create_memory_object_stream[_Question](100_000)
        with self._receive:
            async with anyio.create_task_group() as tasks:
                for _ in range(self.target.info.concurrency):
                    tasks.start_soon(self._serve)
                with self._send:
                    yield self

    async def ask(self, conversation: Conversation, sampling: Sampling) -> Reply:
        """Return the target's reply; one that failed carries its cause.

        Raises:
            UnreachableError: the target only fails, or turns away.
        """
        question = _Question(conversation, sampling)
        await self._send.send(question)
        await question.answered.wait()
        assert question.reply is not None
        return self._door.passed(question.reply)

    async def _serve(self) -> None:
        held: _Question | None = None
        while True:
            try:
                first = held or await self._receive.receive()
            except anyio.EndOfStream:
                return
            batch, held = self._batch(first)
            replies = await self.target.reply([each.conversation for each in batch], first.sampling)
            for question, reply in zip(batch, replies, strict=True):
                question.reply = reply
                question.answered.set()

    def _batch(self, first: _Question) -> tuple[list[_Question], _Question | None]:
        """Return what goes out with ``first``, and a question that was taken but has another sampling."""
        batch = [first]
        while len(batch) < self.target.info.batch_size:
            try:
                further = self._receive.receive_nowait()
            except (anyio.WouldBlock, anyio.EndOfStream):
                break
            if further.sampling != first.sampling:
                return batch, further
            batch.append(further)
        return batch, None
