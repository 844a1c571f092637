"""A conversation that an attack leads turn by turn; the assistant's turns are the target's own replies."""

from __future__ import annotations

import re

from harmless.attacks.contract import Session, Tried
from harmless.core import Conversation, Message

#: English has about four characters a token: what is left over is room for the reply.
CHARACTERS_A_TOKEN = 3
#: Times in a row that the attacker's model may fail or refuse before a conversation is given up.
PATIENCE = 3

_ITEM = re.compile(r"^\s*(?:\d+\s*[.):]|[-*•])\s*(.+?)\s*$", re.MULTILINE)


class Dialogue:
    """The conversation so far; ``turns`` are never changed in place, so that what was asked stays as it was.

    Its beginning is what comes before the objective's last message, such as a system prompt.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before: Conversation = session.objective.conversation[:-1]
        self.turns: Conversation = ()

    async def say(self, text: str, *, note: str = "", keep_refused: bool = False) -> Tried:
        """Ask with ``text`` as the next turn; the turn is forgotten if it failed, or was refused.

        Turns that the target's context has no more room for are left out, the oldest first.

        Args:
            keep_refused: go on from a refusal instead.
        """
        message = Message(role="user", content=text)
        turns = self._recent(len(text))
        tried = (await self._session.ask([(*self._before, *turns, message)], note=note))[0]
        if answered(tried) or (keep_refused and tried.reply.has_text):
            self.turns = (*self.turns, message, Message(role="assistant", content=tried.reply.text))
        return tried

    def _recent(self, coming: int) -> Conversation:
        length = self._session.context_length
        if length is None:
            return self.turns
        left = length * CHARACTERS_A_TOKEN - coming - sum(len(turn.content) for turn in self._before)
        start = len(self.turns)
        while start:
            left -= sum(len(turn.content) for turn in self.turns[start - 2 : start])
            if left < 0:
                break
            start -= 2
        return self.turns[start:]


def answered(tried: Tried) -> bool:
    """Return whether the target replied and did not refuse."""
    return tried.reply.has_text and not tried.refused


def items(text: str | None, most: int) -> list[str]:
    """Return up to so many items of a list that a model wrote, else its lines that are not headings."""
    found = _ITEM.findall(text or "") or [line.strip() for line in (text or "").splitlines()]
    kept = [item.strip('*_"“” ') for item in found if not item.endswith(":")]
    return list(dict.fromkeys(item for item in kept if item))[:most]
