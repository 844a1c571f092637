"""Prefill: the assistant's turn is begun in its stead, and the target goes on from there.

It needs a target that continues the last message: local models do, as do Anthropic's API for some models and
servers such as llama.cpp's. Others answer as if nothing had been begun, or fail. The judge sees what the target
wrote itself.
"""

from __future__ import annotations

from functools import partial

from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.writing import wording
from harmless.core import Message


class Prefill:
    """Begins the reply in one way after another, in random order."""

    def __init__(self) -> None:
        self.info = AttackInfo(
            name="prefill",
            family="prefill",
            calls=len(wording("prefill")["beginnings"]),
            source="Andriushchenko et al. 2024",
        )

    async def run(self, session: Session) -> None:
        """Ask with each beginning once."""
        beginnings: dict[str, str] = wording("prefill")["beginnings"]
        for name in session.random.sample(sorted(beginnings), len(beginnings)):
            begun = Message(role="assistant", content=beginnings[name])
            conversation = (*session.objective.conversation, begun)
            # Some targets give back the beginning with the rest, others the rest alone.
            await session.ask([conversation], note=name, decode=partial(_own, begun.content))


def _own(beginning: str, reply: str) -> str:
    return reply.removeprefix(beginning)


def prefill() -> Prefill:
    """Return the attack."""
    return Prefill()
