"""A ladder: prepared steps from words of the objective up to it, after Crescendo (Russinovich et al. 2024).

Crescendo needs a model that writes each step in view of the last reply, and small models cannot. Here the steps
are prepared, and what adapts is which way is taken: at each rung some are tried from the same conversation, and
it goes on from the reply that the judge scores highest; what was refused is forgotten.
"""

from __future__ import annotations

from harmless.attacks.contract import AttackInfo, Session, Tried
from harmless.attacks.dialogue import answered
from harmless.attacks.echo_chamber import content_words
from harmless.attacks.writing import whole_numbers, wording
from harmless.core import Conversation, Message

#: Ways that are tried at a rung, and words of the objective that the first one has.
WAYS, WORDS = 2, 3
_TRIES = 4


class Ladder:
    """Climbs the ladder a few times, each time by other ways.

    Args:
        tries: conversations.
    """

    def __init__(self, tries: int = _TRIES) -> None:
        self._tries = tries
        self.info = AttackInfo(
            name="ladder" if tries == _TRIES else f"ladder({tries})",
            family="multi-turn",
            calls=tries * WAYS * len(wording("ladder")["rungs"]),
            turns="multi",
            adaptive=True,
            source="Russinovich et al. 2024",
        )

    async def run(self, session: Session) -> None:
        """Lead one conversation after another."""
        for _ in range(self._tries):
            await self._lead(session)

    async def _lead(self, session: Session) -> None:
        *before, last = session.objective.conversation
        words = ", ".join(content_words(last.content)[:WORDS]) or last.content
        said: Conversation = tuple(before)
        for number, ways in enumerate(wording("ladder")["rungs"], 1):
            texts = [
                way.format(words=words, objective=last.content) for way in session.random.sample(ways, WAYS)
            ]
            asked = [(*said, Message(role="user", content=text)) for text in texts]
            tried = await session.ask(asked, note=f"rung {number}")
            if best := _best(tried):
                said = (*best.conversation, Message(role="assistant", content=best.reply.text))


def _best(tried: list[Tried]) -> Tried | None:
    """Return what was answered and scored highest, None if nothing was."""
    return max(filter(answered, tried), key=lambda each: each.score, default=None)


def ladder(tries: str = str(_TRIES)) -> Ladder:
    """Return the attack; UsageError if the argument is not a whole number above 0."""
    return Ladder(*whole_numbers("ladder", tries=tries))
