"""GOAT: an attacker that observes, thinks, chooses a technique and replies (Pavlova et al. 2024)."""

from __future__ import annotations

import re
from typing import NamedTuple

from harmless.attacks.contract import AttackInfo, Session, Tried
from harmless.attacks.dialogue import PATIENCE, Dialogue
from harmless.attacks.writing import SHOWN, talk, whole_numbers, wording, written_prompt
from harmless.core import Conversation

_PART = re.compile(r"^\W*(observation|thought|strategy|reply)\b\W*:\W*", re.IGNORECASE | re.MULTILINE)
#: Characters of the strategy that stand in the note of an attempt.
_NOTED = 40


class Thoughts(NamedTuple):
    """What the attacker's model wrote: the message to the target, and the technique that it says it uses."""

    reply: str | None
    strategy: str


class Goat:
    """Conversations of a few turns, from each of which the attacker learns; refusals stay in them.

    Args:
        turns: messages of one conversation.
        tries: conversations.
    """

    def __init__(self, turns: int = 5, tries: int = 4) -> None:
        self._turns, self._tries = turns, tries
        self.info = AttackInfo(
            name="goat" if (turns, tries) == (5, 4) else f"goat({turns}, {tries})",
            family="multi-turn",
            calls=turns * tries,
            turns="multi",
            adaptive=True,
            attacker=True,
            source="Pavlova et al. 2024",
        )

    async def run(self, session: Session) -> None:
        """Lead one conversation after another."""
        for _ in range(self._tries):
            await self._lead(session)

    async def _lead(self, session: Session) -> None:
        dialogue, said, silent = Dialogue(session), "", 0
        last: Tried | None = None
        turn = 1
        while turn <= self._turns and silent < PATIENCE:
            thoughts = read(await session.write(_brief(session, said, last), note=f"turn {turn}"))
            if thoughts.reply is None:
                silent += 1
                continue
            note = f"turn {turn}: {thoughts.strategy}".rstrip(": ")
            said, silent, turn = thoughts.reply, 0, turn + 1
            last = await dialogue.say(said, note=note, keep_refused=True)


def read(text: str | None) -> Thoughts:
    """Return the parts of what was written; without the form, all of it is the message."""
    if text is None:
        return Thoughts(None, "")
    pieces = _PART.split(text)
    parts = {name.lower(): part.strip() for name, part in zip(pieces[1::2], pieces[2::2], strict=True)}
    strategy = " ".join(parts.get("strategy", "").split())[:_NOTED]
    reply = written_prompt(parts["reply"] if "reply" in parts else pieces[-1])
    # Small models repeat the form instead of filling it in.
    return Thoughts(None if reply and reply in wording("goat")["form"] else reply, strategy)


def _brief(session: Session, said: str, last: Tried | None) -> Conversation:
    words = wording("goat")
    techniques = "\n".join(f"- {name}: {what}" for name, what in words["techniques"].items())
    parts = [words["goal"].format(objective=session.objective.text)]
    if last:
        reply = last.reply.text[:SHOWN] or last.reply.cause
        parts.append(words["last"].format(message=said[: SHOWN // 2], reply=reply))
    parts.append(words["form"])
    return talk(words["system"].format(techniques=techniques), "\n".join(parts))


def goat(turns: str = "5", tries: str = "4") -> Goat:
    """Return the attack; UsageError if an argument is not a whole number above 0."""
    return Goat(*whole_numbers("goat", turns=turns, tries=tries))
