"""Crescendo: small steps from a harmless question to the objective (Russinovich et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.dialogue import Dialogue, answered
from harmless.attacks.writing import SHOWN, as_prompt, talk, whole_numbers, wording, written_prompt
from harmless.core import Conversation

#: Earlier messages, and refused ones, that the attacker's model is reminded of.
REMINDED = 3


@dataclass
class _Memory:
    """What the attacker remembers of a conversation: the target forgets what it refused, the attacker not."""

    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    reply: str = ""
    score: float = 0.0
    strategy: int = 0


class Crescendo:
    """Leads conversations in which every message goes a little further than the last.

    A message that is refused is taken back: it counts as a backtrack, not as a turn. Once a conversation has
    had its turns or backtracks, another begins. Where the attacker's model fails or refuses, it is asked again
    with the next strategy.

    Args:
        turns: messages of one conversation that are answered.
        backtracks: messages of one conversation that may be refused, or fail.
    """

    def __init__(self, turns: int = 10, backtracks: int = 10) -> None:
        self._turns, self._backtracks = turns, backtracks
        name = "crescendo" if (turns, backtracks) == (10, 10) else f"crescendo({turns}, {backtracks})"
        self.info = AttackInfo(
            name=name,
            family="multi-turn",
            revision="3",
            calls=turns + backtracks,
            turns="multi",
            adaptive=True,
            attacker=True,
            source="Russinovich et al. 2024",
        )

    async def run(self, session: Session) -> None:
        """Lead one conversation after another, as long as the attacker's model writes."""
        while await self._lead(session):
            pass

    async def _lead(self, session: Session) -> bool:
        """Lead one conversation; return whether the target was asked anything."""
        dialogue, memory, silent = Dialogue(session), _Memory(), 0
        strategies = list(wording("crescendo")["strategies"])
        while (
            len(memory.asked) < self._turns
            and len(memory.refused) <= self._backtracks
            and silent < len(strategies)
        ):
            turn = f"turn {len(memory.asked) + 1}"
            strategy = strategies[memory.strategy]
            brief = self._brief(session, memory, strategy)
            text = written_prompt(await session.write(brief, note=f"{turn}: {strategy}"))
            if text is None:
                silent += 1
                memory.strategy = (memory.strategy + 1) % len(strategies)
                continue
            silent = 0
            note = f"{turn}, {len(memory.refused)} taken back" if memory.refused else turn
            tried = await dialogue.say(text, note=note)
            if answered(tried):
                memory.asked.append(text)
                memory.reply, memory.score = tried.reply.text, tried.score
            else:
                memory.refused.append(text)
        return bool(memory.asked or memory.refused)

    def _brief(self, session: Session, memory: _Memory, strategy: str) -> Conversation:
        words = wording("crescendo")
        before = [turn for shot in words["shots"] for turn in self._shown(shot)]
        system = "\n".join(filter(None, (words["system"], words["strategies"][strategy])))
        return talk(system, *before, self._told(session.objective.text, memory))

    def _shown(self, shot: Mapping[str, Any]) -> list[str]:
        """Return two steps of a harmless conversation, as turns with the attacker's model."""
        later = _Memory([shot["first"]], reply=shot["reply"], score=shot["score"])
        return [
            self._told(shot["objective"], _Memory()),
            as_prompt(shot["first"]),
            self._told(shot["objective"], later),
            as_prompt(shot["next"]),
        ]

    def _told(self, objective: str, memory: _Memory) -> str:
        """Return what the attacker's model is told of a conversation."""
        words = wording("crescendo")
        parts = [words["goal"].format(objective=objective)]
        if memory.asked:
            parts += [
                words["asked"].format(messages=_list(memory.asked)),
                words["reply"].format(reply=memory.reply[:SHOWN], score=1 + round(9 * memory.score)),
            ]
        if memory.refused:
            parts.append(words["refused"].format(messages=_list(memory.refused)))
        step = "next" if memory.asked else "first"
        parts.append(words[step].format(turn=len(memory.asked) + 1, turns=self._turns))
        return "\n".join(parts)


def _list(messages: list[str]) -> str:
    return "\n".join(f"- {message[: SHOWN // 2]}" for message in messages[-REMINDED:])


def crescendo(turns: str = "10", backtracks: str = "10") -> Crescendo:
    """Return the attack; UsageError if an argument is not a whole number above 0."""
    return Crescendo(*whole_numbers("crescendo", turns=turns, backtracks=backtracks))
