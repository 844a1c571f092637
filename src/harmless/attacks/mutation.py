"""Mutation of templates by a model, the most promising ones first, after GPTFuzzer (Yu et al. 2023).

Selection is its MCTS-Explore: a walk down the tree of templates by upper confidence bounds. Two things differ,
since here one objective is worked on at a time and the search ends with its first success: the reward is the
judge's score rather than the number of successes, and a mutated template is kept if its reply scored no less
than its parent's and was not refused. A template that lost the place of the objective is given it at its end.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from harmless.attacks.contract import AttackInfo, Session, Tried
from harmless.attacks.templates import templates
from harmless.attacks.templates.template import PLACE
from harmless.attacks.writing import talk, whole_numbers, wording, written_prompt
from harmless.core import Message

#: GPTFuzzer's: weight of what was tried seldom, chance to stop at an inner node, least share of a reward.
RATIO, ALPHA, BETA = 0.5, 0.1, 0.2
#: Templates that a search begins with; of all, each would be tried once and none again.
SEEDS = 8
#: Texts in a row that the attacker's model did not write before it is given up.
LOST = 10
_MARK = "[REQUEST]"
_CALLS = 30


@dataclass(eq=False)
class Node:
    """A template in the tree: how often a walk went through it, and what it gained."""

    template: str
    level: int = 0
    score: float = 0.0
    visits: int = 0
    reward: float = 0.0
    children: list[Node] = field(default_factory=list)

    def bound(self, step: int) -> float:
        """Upper confidence bound of what a walk through the node gains."""
        return self.reward / (self.visits + 1) + RATIO * math.sqrt(2 * math.log(step) / (self.visits + 0.01))


class Mutation:
    """Lets the attacker's model change templates that worked best so far.

    Args:
        calls: how often the target is asked for one objective.
    """

    def __init__(self, calls: int = _CALLS) -> None:
        self.info = AttackInfo(
            name="mutation" if calls == _CALLS else f"mutation({calls})",
            family="evolution",
            calls=calls,
            adaptive=True,
            attacker=True,
            source="Yu et al. 2023",
        )

    async def run(self, session: Session) -> None:
        """Choose, mutate, ask, and learn from the score, until the model wrote nothing ten times in a row."""
        plain = [each.turns[0] for each in templates().values() if each.is_plain]
        roots = [Node(template) for template in session.random.sample(plain, SEEDS)]
        step = lost = 0
        while lost < LOST:
            step += 1
            path = walked(roots, step, session.random)
            made = await _mutated(session, path[-1].template, plain)
            if made is None:
                lost += 1
                continue
            lost = 0
            text, mutator = made
            learned(path, text, await _tried(session, text, mutator))


def walked(roots: Sequence[Node], step: int, rng: random.Random) -> list[Node]:
    """Return the walk from a root to the node that is to be mutated, and count the visits."""
    path = [max(roots, key=lambda node: node.bound(step))]
    while path[-1].children and rng.random() >= ALPHA:
        path.append(max(path[-1].children, key=lambda node: node.bound(step)))
    for node in path:
        node.visits += 1
    return path


def learned(path: Sequence[Node], template: str, tried: Tried) -> None:
    """Reward the walk by the score, less the deeper it went, and keep a template that is no worse."""
    parent = path[-1]
    gain = tried.score * max(BETA, 1 - 0.1 * parent.level)
    for node in path:
        node.reward += gain
    if tried.refused is False and tried.score >= parent.score:
        parent.children.append(Node(template, parent.level + 1, tried.score))


async def _mutated(session: Session, template: str, others: Sequence[str]) -> tuple[str, str] | None:
    """Return a changed template and the name of what changed it, None if the model wrote nothing of use."""
    words = wording("mutation")
    mutator = session.random.choice(list(words["mutators"]))
    other = session.random.choice(others)
    asked = words["mutators"][mutator]
    for name, text in (("{template}", template), ("{other}", other)):
        asked = asked.replace(name, text.replace(PLACE, _MARK))
    written = written_prompt(await session.write(talk(words["system"], asked), note=mutator))
    if written is None:
        return None
    text = written.replace(_MARK, PLACE)
    if mutator == "expand":
        text = f"{text.replace(PLACE, '')} {template}"
    return (text if PLACE in text else f"{text}\n\n{PLACE}"), mutator


async def _tried(session: Session, template: str, mutator: str) -> Tried:
    *before, last = session.objective.conversation
    asked = Message(role="user", content=template.replace(PLACE, last.content))
    return (await session.ask([(*before, asked)], note=mutator))[0]


def mutation(calls: str = str(_CALLS)) -> Mutation:
    """Return the attack; UsageError if the argument is not a whole number above 0."""
    return Mutation(*whole_numbers("mutation", calls=calls))
