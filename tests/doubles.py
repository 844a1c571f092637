"""Stand-ins for targets and guards, with their whole behaviour in sight."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harmless.core import (
    Conversation,
    Exchange,
    GuardInfo,
    Outcome,
    Reply,
    ReplyStatus,
    Sampling,
    TargetInfo,
    Verdict,
)
from harmless.guards.refusal import RefusalGuard

Answer = Callable[[str, Sampling], Reply]


def said(text: str, status: ReplyStatus = ReplyStatus.COMPLETE) -> Reply:
    return Reply(status=status, text=text)


class FakeTarget:
    """Answers with a function of the last user message; counts what it is asked."""

    def __init__(
        self,
        answer: Answer,
        *,
        batch_size: int = 4,
        concurrency: int = 2,
        name: str = "fake",
        priced: bool = False,
    ) -> None:
        self._answer = answer
        self._info = TargetInfo(
            name=name, revision="1", batch_size=batch_size, concurrency=concurrency, priced=priced
        )
        self.asked: list[str] = []

    @property
    def info(self) -> TargetInfo:
        return self._info

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        prompts = [conversation[-1].content for conversation in conversations]
        self.asked += prompts
        return [self._answer(prompt, sampling) for prompt in prompts]

    async def aclose(self) -> None:
        pass


class FakeGuard:
    """Calls a reply unsafe, or a refusal, if it has a certain word in it."""

    def __init__(self, name: str = "harm", *, word: str = "UNSAFE", refusal: str = "REFUSE") -> None:
        self._name, self._word, self._refusal = name, word, refusal
        self.judged = 0

    @property
    def info(self) -> GuardInfo:
        return GuardInfo(name=self._name, revision="1", sees="both")

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        self.judged += len(exchanges)
        return [self._verdict(e.reply if e.reply is not None else e.prompt) for e in exchanges]

    def _verdict(self, text: str) -> Verdict:
        if "GARBLED" in text:
            return Verdict.unassessed("garbled")
        unsafe, refusal = self._word in text, float(self._refusal in text)
        return Verdict(
            outcome=Outcome.UNSAFE if unsafe else Outcome.SAFE,
            score=float(unsafe),
            labels={"refusal": refusal, "compliance": 1 - refusal},
        )


class FailingRefusal(RefusalGuard):
    """The refusal guard, which fails on a reply with a certain word in it."""

    def _judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        if any("GARBLED" in (each.reply or "") for each in exchanges):
            raise ValueError("garbled")
        return super()._judge(exchanges)


def judges() -> dict[str, FakeGuard]:
    return {"harm": FakeGuard("harm"), "refusal": FakeGuard("refusal")}
