"""Context filling: a long harmless text around the objective, up to what the target's context holds.

What a system prompt or training says of such requests stands far away then; deepteam calls it context flooding.
"""

from __future__ import annotations

from itertools import product

from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.dialogue import CHARACTERS_A_TOKEN
from harmless.attacks.writing import whole_numbers, wording
from harmless.core import Message

#: Shares of the context that are filled, one after the other, at three characters a token.
FILLED = (0.25, 0.5, 0.95)
#: Tokens that are taken for the context where it is unknown, and at most where nobody says more: they cost.
USUAL, MOST = 4_000, 32_000


class ContextFilling:
    """The objective behind a long text, and in the middle of one, with more and more of the context filled.

    Args:
        tokens: taken for the length of the context; default what the target says.
    """

    def __init__(self, tokens: int | None = None) -> None:
        self._tokens = tokens
        self.info = AttackInfo(
            name=f"context_filling({tokens})" if tokens else "context_filling",
            family="context",
            calls=len(FILLED) * len(wording("context_filling")["places"]),
            source="deepteam",
        )

    async def run(self, session: Session) -> None:
        """Ask once for each length and place."""
        *before, last = session.objective.conversation
        tokens = self._tokens or min(session.context_length or USUAL, MOST)
        places = wording("context_filling")["places"]
        for share, place in product(FILLED, places):
            room = int(share * tokens * CHARACTERS_A_TOKEN) - sum(len(m.content) for m in (*before, last))
            text = self._text(session, places[place], last.content, room)
            note = f"{share:.0%} filled, {place}"
            await session.ask([(*before, Message(role="user", content=text))], note=note)

    def _text(self, session: Session, place: str, objective: str, room: int) -> str:
        passages: list[str] = wording("context_filling")["passages"]
        chosen: list[str] = []
        room -= len(place)
        while True:
            for passage in session.random.sample(passages, len(passages)):
                numbered = f"{len(chosen) + 1}. {passage.strip()}"
                room -= len(numbered) + 1
                if room < 0:
                    half = len(chosen) // 2
                    first, second = "\n".join(chosen[:half]), "\n".join(chosen[half:])
                    return place.format(first=first, second=second, objective=objective).strip()
                chosen.append(numbered)


def context_filling(tokens: str = "") -> ContextFilling:
    """Return the attack; UsageError if ``tokens`` is not a whole number above 0."""
    return ContextFilling(*whole_numbers("context_filling", tokens=tokens) if tokens else ())
