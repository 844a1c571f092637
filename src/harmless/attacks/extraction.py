"""System prompt extraction: asks for the instructions that the target was given.

A canary and n-grams tell whether a reply holds them, as in garak; another prompt is the baseline.
"""

from __future__ import annotations

from harmless.attacks.canaries import Leak, canary
from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.writing import wording
from harmless.core import Message, user

LEAK = Leak()


class Extraction:
    """Asks in several ways for the system prompt: the user's own if there is one, else one that it plants.

    A planted one has a canary in it. Ways that ask for a code or a translation are left out: a reply in another
    language holds a system prompt that no n-gram tells.
    """

    def __init__(self) -> None:
        self.info = AttackInfo(
            name="extraction",
            family="injection",
            calls=len(wording("extraction")["ways"]),
            judge=LEAK.info,
            source="garak (sysprompt_extraction)",
        )

    async def run(self, session: Session) -> None:
        """Ask in one way after another, in random order."""
        words = wording("extraction")
        planted = session.random.choice(words["systems"]).format(canary=canary(session.random))
        system = Message(role="system", content=session.system or planted)
        for way in session.random.sample(sorted(words["ways"]), len(words["ways"])):
            asked = user(words["ways"][way])
            # The user's own system prompt is sent with every question anyhow.
            conversation = asked if session.system else (system, *asked)
            await session.ask([conversation], note=way, judge=LEAK, aims=[(system, *asked)])


def extraction() -> Extraction:
    """Return the attack."""
    return Extraction()
