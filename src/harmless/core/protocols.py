"""The contracts of targets and guards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

from pydantic import Field

from harmless.core.conversation import Conversation
from harmless.core.exchange import Exchange
from harmless.core.hashing import digest
from harmless.core.model import Model
from harmless.core.reply import Reply
from harmless.core.sampling import Sampling
from harmless.core.verdict import Verdict


class TargetInfo(Model):
    """What the runner has to know of a target.

    ``revision`` changes whenever the same question may get another answer (model digest, guard revision).
    ``batch_size`` is how many conversations one call should carry; ``concurrency`` how many calls may be
    under way at once. ``context_length`` in tokens, None if unknown. ``reply_tokens`` is how long replies may
    get where the user does not say; ``guarded_by`` names the families (or names) of guards in front;
    ``priced`` says whether replies carry their cost.
    """

    name: str
    revision: str
    context_length: int | None = None
    batch_size: int = Field(1, ge=1)
    concurrency: int = Field(1, ge=1)
    white_box: bool = False
    reply_tokens: int = Field(256, ge=1)
    guarded_by: tuple[str, ...] = ()
    priced: bool = False

    @property
    def identity(self) -> str:
        """Digest of name and revision; part of every attempt's key."""
        return digest(self.name, self.revision)


@runtime_checkable
class Target(Protocol):
    """Answers conversations."""

    @property
    def info(self) -> TargetInfo:
        """Name, revision and limits."""
        ...

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return one reply a conversation, in order; a failure is a Reply with its cause, not an exception."""
        ...

    async def aclose(self) -> None:
        """Give back what the target holds (a model, connections)."""
        ...


@runtime_checkable
class LogProbTarget(Target, Protocol):
    """A target that can also say how likely given replies are; few targets can, and few metrics ask it."""

    async def log_probability(
        self, conversation: Conversation, continuations: Sequence[str]
    ) -> list[list[float]]:
        """Return the natural logarithm of each token's probability, one list a continuation, in order.

        The continuations are scored as replies to the conversation, under the model's own distribution
        (temperature 1) and tokenization, without an end of text. With an empty conversation they are scored
        as plain text at the beginning of a line.

        Raises:
            HarmlessError: they could not be scored; the message is the cause.
        """
        ...


class GuardInfo(Model):
    """What users and the policy have to know of a guard.

    ``sees`` says what it can judge; ``threshold`` is the guard's own default, used where the policy names
    none; guards of one ``family`` share parts, so that one tends to miss what the other misses; ``parts`` are
    the families (or names) of the guards that a combination is made of; ``needs``
    lists an extra, a key or a model it needs; ``leaves_machine`` says whether text is sent out.
    """

    name: str
    revision: str
    sees: Literal["prompt", "reply", "both"]
    threshold: float = Field(0.5, ge=0, le=1)
    hazards: tuple[str, ...] = ()
    family: str = ""
    parts: tuple[str, ...] = ()
    licence: str = ""
    needs: tuple[str, ...] = ()
    leaves_machine: bool = False
    batch_size: int = Field(64, ge=1)

    @property
    def families(self) -> tuple[str, ...]:
        """The families (or names) of the guards that judge here: its own, or those of its parts."""
        return self.parts or (self.family or self.name,)

    @property
    def identity(self) -> str:
        """Digest of name and revision."""
        return digest(self.name, self.revision)


@runtime_checkable
class Guard(Protocol):
    """Judges exchanges."""

    @property
    def info(self) -> GuardInfo:
        """Name, revision and what it covers."""
        ...

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; never raises for one bad item."""
        ...
