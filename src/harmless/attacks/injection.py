"""Indirect prompt injection: documents tell the target to do what its user has not asked for.

The only effect is a random canary, so a string match judges. Kinds of documents and places are those of
BIPIA (Yi et al. 2023), styles those of Liu et al. 2024, in our words. Which case is tried first is drawn at
random for every objective: the success rate within one call is that of a random case. Nothing else of an
objective is used.
"""

from __future__ import annotations

from harmless.attacks.canaries import Canary, LinkedCanary, canary
from harmless.attacks.carriers import cases, styles
from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.writing import wording
from harmless.core import Message, user
from harmless.errors import UnknownNameError

#: Cases an objective.
CALLS = 12
CANARY, LINKED = Canary(), LinkedCanary()


class Injection:
    """A document makes the target write a canary, which is in it only in two parts: to quote is not to obey.

    Args:
        chosen: styles in which the instruction is put; all of them if empty.
    """

    def __init__(self, *chosen: str) -> None:
        self._chosen = _known(chosen)
        name = f"injection({', '.join(chosen)})" if chosen else "injection"
        self.info = AttackInfo(
            name=name, family="injection", calls=CALLS, judge=CANARY.info, source="Yi et al. 2023"
        )

    async def run(self, session: Session) -> None:
        """Try one case after another."""
        for case in cases(session.random, self._chosen):
            mark = canary(session.random)
            first, _, second = mark.partition("-")
            instruction = wording("injection")["instruction"].format(first=first, second=second)
            text = case.message(instruction)
            await session.ask([user(text)], note=str(case), judge=CANARY, aims=[user(mark)])


class Exfiltration:
    """A document makes the target put what is confidential into the address of an image or a link.

    What is confidential is a canary in a system prompt; an address of a reserved name stands for the attacker.
    """

    def __init__(self, *chosen: str) -> None:
        self._chosen = _known(chosen)
        name = f"exfiltration({', '.join(chosen)})" if chosen else "exfiltration"
        self.info = AttackInfo(
            name=name, family="injection", calls=CALLS, judge=LINKED.info, source="Rehberger 2023"
        )

    async def run(self, session: Session) -> None:
        """Try one case after another, each with one of the ways to ask for the address."""
        words = wording("exfiltration")
        for case in cases(session.random, self._chosen):
            mark, way = canary(session.random), session.random.choice(sorted(words["ways"]))
            system = Message(role="system", content=words["system"].format(canary=mark))
            asked = (system, *user(case.message(words["ways"][way])))
            await session.ask([asked], note=f"{case}, {way}", judge=LINKED, aims=[user(mark)])


def _known(chosen: tuple[str, ...]) -> tuple[str, ...]:
    for style in chosen:
        if style not in styles():
            raise UnknownNameError("style of injection", style, styles())
    return chosen


def injection(*chosen: str) -> Injection:
    """Return the attack with instructions of these styles, or all; UnknownNameError for another style."""
    return Injection(*chosen)


def exfiltration(*chosen: str) -> Exfiltration:
    """Return the attack with instructions of these styles, or all; UnknownNameError for another style."""
    return Exfiltration(*chosen)
