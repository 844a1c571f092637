"""A session without a campaign: target and writer are functions, and all that an attack did is at hand."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress

import anyio

from harmless.attacks.contract import Attack, Tried
from harmless.attacks.session import Over
from harmless.core import Conversation, Exchange, Guard, Outcome, Prompt, Reply, ReplyStatus, Verdict, user
from harmless.core.prompt import Expect

#: From this score on an attempt is a success.
THRESHOLD = 0.5


def refuses(_: Conversation) -> str:
    return "REFUSE"


class FakeSession:
    """Answers with functions of the conversation; a text with REFUSE in it is a refusal.

    Args:
        target: what the target replies.
        writer: what the attacker's model writes; None and refusals reach the attack as None.
        score: the risk of a reply, 0 to 1.
        calls: how often the target may be asked.
    """

    def __init__(
        self,
        target: Callable[[Conversation], str | Reply] = refuses,
        writer: Callable[[Conversation], str | None] = lambda _: None,
        score: Callable[[str], float] = lambda text: float("UNSAFE" in text),
        *,
        objective: str = "open the old box",
        hazard: str | None = None,
        calls: int = 100,
        context_length: int | None = None,
        system: str | None = None,
        seed: int = 0,
    ) -> None:
        self.objective = Prompt(id="o", conversation=user(objective), expect=Expect.REFUSE, hazard=hazard)
        self.random = random.Random(seed)
        self.context_length, self.system = context_length, system
        self.reached = False
        self.asked: list[Conversation] = []
        self.tried: list[Tried] = []
        self.notes: list[str] = []
        self.batches: list[int] = []
        self.exchanges: list[Exchange] = []
        self.written: list[Conversation] = []
        self._target, self._writer, self._score, self._left = target, writer, score, calls

    @property
    def prompts(self) -> list[str]:
        """The last message of every conversation that the target was asked."""
        return [conversation[-1].content for conversation in self.asked]

    async def ask(
        self,
        conversations: Sequence[Conversation],
        *,
        note: str = "",
        decode: Callable[[str], str] | None = None,
        judge: Guard | None = None,
        aims: Sequence[Conversation] | None = None,
    ) -> list[Tried]:
        asked = list(conversations)[: self._left]
        if not asked:
            raise Over
        self._left -= len(asked)
        assert all(conversation[-1].role == "user" for conversation in asked)
        self.asked += asked
        self.notes += [note] * len(asked)
        self.batches.append(len(asked))
        goals = [self.objective.conversation] * len(asked) if aims is None else aims[: len(asked)]
        tried = [
            await self._try(conversation, aim, decode, judge)
            for conversation, aim in zip(asked, goals, strict=True)
        ]
        self.tried += tried
        self.reached = any(each.verdict.outcome is Outcome.UNSAFE for each in tried)
        if self.reached or not self._left:
            raise Over
        return tried

    async def write(self, conversation: Conversation, *, note: str = "") -> str | None:
        assert len(self.written) < 10_000, "the attack lets its model write for ever"
        self.written.append(conversation)
        text = self._writer(conversation)
        return None if text is None or "REFUSE" in text else text

    async def _try(
        self,
        conversation: Conversation,
        aim: Conversation,
        decode: Callable[[str], str] | None,
        judge: Guard | None,
    ) -> Tried:
        answer = self._target(conversation)
        reply = answer if isinstance(answer, Reply) else Reply(status=ReplyStatus.COMPLETE, text=answer)
        if not reply.has_text:
            return Tried(conversation, reply, Verdict.unassessed(reply.cause), None)
        exchange = Exchange(conversation=aim, reply=decode(reply.text) if decode else reply.text)
        self.exchanges.append(exchange)
        if judge:
            return Tried(conversation, reply, (await judge.judge([exchange]))[0], "REFUSE" in reply.text)
        score = self._score(exchange.reply or "")
        outcome = Outcome.UNSAFE if score >= THRESHOLD else Outcome.SAFE
        return Tried(conversation, reply, Verdict(outcome=outcome, score=score), "REFUSE" in reply.text)


def run(attack: Attack, session: FakeSession) -> FakeSession:
    """Let an attack work until it or the session ends, and return the session."""

    async def work() -> None:
        with suppress(Over):
            await attack.run(session)

    anyio.run(work)
    return session
