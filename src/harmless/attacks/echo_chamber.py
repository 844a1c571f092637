"""Echo chamber: the target's own words are led on and on, the objective comes only at the end.

Published by NeuralTrust in 2025.
"""

from __future__ import annotations

import re

from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.dialogue import Dialogue, answered, items
from harmless.attacks.writing import talk, whole_numbers, wording

#: Words of the objective that are planted, at most.
SEEDS = 4
_SEED = re.compile(r"[^\W\d_]{3,}([ '-][^\W\d_]+)?")
_WORD = re.compile(r"[^\W\d_]{4,}")


class EchoChamber:
    """Plants a few words in a harmless text, has the target expand on what it wrote, and then calls it in.

    The attacker's model chooses the words; where it does not, they are words of the objective.

    Args:
        turns: messages of one conversation, at least 2.
        tries: conversations.
    """

    def __init__(self, turns: int = 6, tries: int = 2) -> None:
        self._turns, self._tries = max(turns, 2), tries
        self.info = AttackInfo(
            name="echo_chamber" if (turns, tries) == (6, 2) else f"echo_chamber({turns}, {tries})",
            family="multi-turn",
            calls=self._turns * tries,
            turns="multi",
            adaptive=True,
            attacker=True,
            source="NeuralTrust 2025",
        )

    async def run(self, session: Session) -> None:
        """Lead one conversation after another."""
        for _ in range(self._tries):
            await self._lead(session, await self._seeds(session))

    async def _seeds(self, session: Session) -> list[str]:
        words = wording("echo_chamber")
        ask = words["seeds"].format(count=SEEDS, objective=session.objective.text)
        text = await session.write(talk(words["system"], ask), note="seeds")
        written = [item for item in items((text or "").replace(",", "\n"), SEEDS) if _SEED.fullmatch(item)]
        return written or content_words(session.objective.text)[:SEEDS] or [session.objective.text]

    async def _lead(self, session: Session, seeds: list[str]) -> None:
        words, dialogue = wording("echo_chamber"), Dialogue(session)
        await dialogue.say(session.random.choice(words["plant"]).format(seeds=", ".join(seeds)), note="plant")
        paths = [
            (path, seed)
            for path in session.random.sample(words["expand"], len(words["expand"]))
            for seed in session.random.sample(seeds, len(seeds))
        ]
        for turn in range(2, self._turns):
            # A path that is refused is forgotten, and another one tried.
            path, seed = paths[(turn - 2) % len(paths)]
            if dialogue.turns:
                tried = await dialogue.say(path.format(seed=seed), note=f"expand, turn {turn}")
                paths = paths if answered(tried) else [each for each in paths if each[0] != path] or paths
            else:
                again = session.random.choice(words["plant"]).format(seeds=seed)
                await dialogue.say(again, note=f"plant, turn {turn}")
        last = session.random.choice(words["call in"])
        await dialogue.say(last.format(objective=session.objective.text), note="call in")


def content_words(text: str) -> list[str]:
    """Return the distinct words of four and more letters, the longest first: what a text is about."""
    found = dict.fromkeys(word.lower() for word in _WORD.findall(text))
    return sorted(found, key=lambda word: (-len(word), word))


def echo_chamber(turns: str = "6", tries: str = "2") -> EchoChamber:
    """Return the attack; UsageError if an argument is not a whole number above 0."""
    return EchoChamber(*whole_numbers("echo_chamber", turns=turns, tries=tries))
