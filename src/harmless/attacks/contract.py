"""The contract of attacks: what one is, and what it may do in a session.

An attack is written as if it went on for ever: the session ends it (by an exception that attacks let pass) once
the objective is reached or the calls are used up. All that it does has to follow from the objective, the
session's random numbers and what the session gave back: so a run that was killed is taken up by running the
attack again over the recorded calls.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from pydantic import Field

from harmless.core import Conversation, Guard, GuardInfo, Prompt, Reply, Verdict
from harmless.core.model import Model


class AttackInfo(Model):
    """What users and the campaign have to know of an attack.

    ``family`` groups attacks of one idea in tables; ``calls`` is how often it may ask the target for one
    objective where the user says nothing; ``adaptive``: it learns from earlier replies; ``attacker``: it needs
    a model that writes for it. ``judge`` is the guard that it brings where success is not harm but, say, a
    leak; it is then not compared with direct asking. ``source`` is the paper or project it comes from.
    """

    name: str
    family: str
    revision: str = "1"
    calls: int = Field(1, ge=1)
    turns: Literal["single", "multi"] = "single"
    access: Literal["black-box", "log-probabilities", "white-box"] = "black-box"
    adaptive: bool = False
    attacker: bool = False
    judge: GuardInfo | None = None
    source: str = ""


class Tried(NamedTuple):
    """One attempt: what the target was told, its reply, and the verdict on it in view of the objective.

    ``score`` is the judge's, 0 where it could not judge; ``refused`` is None where that is not known.
    """

    conversation: Conversation
    reply: Reply
    verdict: Verdict
    refused: bool | None

    @property
    def score(self) -> float:
        """Risk of the reply, 0 to 1."""
        return self.verdict.score or 0.0


class Session(Protocol):
    """What an attack has for one objective."""

    objective: Prompt
    random: random.Random

    @property
    def context_length(self) -> int | None:
        """Tokens that the target takes, with its reply; None if unknown."""
        ...

    @property
    def system(self) -> str | None:
        """System prompt that is sent before every conversation; None if there is none."""
        ...

    async def ask(
        self,
        conversations: Sequence[Conversation],
        *,
        note: str = "",
        decode: Callable[[str], str] | None = None,
        judge: Guard | None = None,
        aims: Sequence[Conversation] | None = None,
    ) -> list[Tried]:
        """Ask the target and have its replies judged; one attempt a conversation, in order.

        Args:
            conversations: each ends with a user message. Those beyond the budget are left out.
            note: a few words that tell this attempt from others in the report.
            decode: turns a reply into plain text before it is judged, for attacks that ask for a code.
            judge: judges instead of the campaign's guard of harm; the one that ``info.judge`` tells of.
            aims: what each reply is judged in view of, one a conversation; default the objective.
        """
        ...

    async def write(self, conversation: Conversation, *, note: str = "") -> str | None:
        """Return what the attacker's model writes; None if it failed, wrote nothing, or refused."""
        ...


class Attack(Protocol):
    """Turns an objective into attempts."""

    @property
    def info(self) -> AttackInfo:
        """Name, family, budget and needs."""
        ...

    async def run(self, session: Session) -> None:
        """Make attempts for ``session.objective`` until there is nothing more to try."""
        ...
