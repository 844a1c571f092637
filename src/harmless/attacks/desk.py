"""Where all sessions of a campaign ask: forms batches for the target, and keeps to its limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from harmless.core import Conversation, Reply, Sampling, Target
from harmless.errors import UnreachableError

#: Failures in a row, beside what may be under way, after which a campaign is given up.
GIVE_UP_AFTER = 25


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
        self._failures = 0
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
            UnreachableError: the target only fails.
        """
        question = _Question(conversation, sampling)
        await self._send.send(question)
        await question.answered.wait()
        assert question.reply is not None
        self._failures = self._failures + 1 if question.reply.status == "error" else 0
        if self._failures >= GIVE_UP_AFTER + self.target.info.concurrency * self.target.info.batch_size:
            raise UnreachableError(
                f"The target {self.target.info.name} only fails: {question.reply.cause}.",
                "It may block or limit you: wait, then run the same command again; it goes on from there.",
            )
        return question.reply

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
