"""ActorAttack: reaches the objective through somebody or something connected with it (Ren et al. 2024).

The kinds of actors are those of the paper, after Latour's actor-network theory.
"""

from __future__ import annotations

from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.dialogue import Dialogue, answered, items
from harmless.attacks.writing import SHOWN, talk, whole_numbers, wording, written_prompt

#: Words of a name at most; what is longer is not one.
_NAME = 8


class Actor:
    """A conversation an actor: the attacker's model names it, and writes questions that lead to the objective.

    The questions are written beforehand, as clues; one that is refused is put more mildly once, then left out.

    Args:
        actors: conversations.
        turns: questions of each.
    """

    def __init__(self, actors: int = 3, turns: int = 5) -> None:
        self._actors, self._turns = actors, turns
        self.info = AttackInfo(
            name="actor" if (actors, turns) == (3, 5) else f"actor({actors}, {turns})",
            family="multi-turn",
            calls=actors * (turns + 2),
            turns="multi",
            adaptive=True,
            attacker=True,
            source="Ren et al. 2024",
        )

    async def run(self, session: Session) -> None:
        """Lead a conversation for each of some kinds of actors, drawn at random."""
        kinds = dict(wording("actor")["kinds"])
        order = session.random.sample(sorted(kinds), len(kinds))
        for number in range(self._actors):
            kind = order[number % len(order)]
            name = await self._name(session, kind, kinds[kind])
            await self._lead(session, kind, name)

    async def _name(self, session: Session, kind: str, what: str) -> str:
        """Return an actor of that kind; what describes the kind where the attacker's model names none."""
        words = wording("actor")
        ask = words["name"].format(kind=what, objective=session.objective.text)
        named = items(await session.write(talk(words["system"], ask), note=f"{kind}: name"), 1)
        return named[0] if named and len(named[0].split()) <= _NAME else str(what)

    async def _lead(self, session: Session, kind: str, name: str) -> None:
        words = wording("actor")
        ask = words["questions"].format(turns=self._turns, actor=name, objective=session.objective.text)
        text = await session.write(talk(words["system"], ask), note=f"{kind}: questions")
        dialogue = Dialogue(session)
        for number, question in enumerate(items(text, self._turns), 1):
            note = f"{kind}, turn {number}"
            tried = await dialogue.say(question, note=note)
            if not answered(tried) and (milder := await self._milder(session, question, note)):
                await dialogue.say(milder, note=f"{note}, milder")

    async def _milder(self, session: Session, question: str, note: str) -> str | None:
        words = wording("actor")
        ask = words["milder"].format(question=question[: SHOWN // 2])
        return written_prompt(await session.write(talk(words["system"], ask), note=f"{note}: milder"))


def actor(actors: str = "3", turns: str = "5") -> Actor:
    """Return the attack; UsageError if an argument is not a whole number above 0."""
    return Actor(*whole_numbers("actor", actors=actors, turns=turns))
