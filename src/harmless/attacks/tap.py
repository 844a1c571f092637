"""TAP: a tree of prompts, of which those off topic and the less promising are pruned (Mehrotra et al. 2023)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harmless.attacks.contract import AttackInfo, Session, Tried
from harmless.attacks.writing import SHOWN, shots, talk, whole_numbers, wording, written_prompt
from harmless.core import Conversation, user

_NO = re.compile(r"\W*no\b", re.IGNORECASE)
#: Where nobody says more; the paper has 4, 10 and 10, up to some hundred calls.
_BRANCHING, _WIDTH, _DEPTH = 2, 4, 5


@dataclass(frozen=True)
class _Leaf:
    """A prompt that was asked, and what came back; None at the root."""

    prompt: str = ""
    tried: Tried | None = None

    @property
    def score(self) -> float:
        return self.tried.score if self.tried else 0.0


class Tap:
    """Every leaf gets several new prompts; those on topic are asked, and the best become the next leaves.

    The attacker's model is also the evaluator of what is off topic. Only a clear No prunes a prompt: a model
    that cannot tell must not prune the whole tree. How many were pruned stands in the note of the attempts.

    Args:
        branching: new prompts a leaf.
        width: leaves that are kept.
        depth: rounds.
    """

    def __init__(self, branching: int = _BRANCHING, width: int = _WIDTH, depth: int = _DEPTH) -> None:
        self._branching, self._width, self._depth = branching, width, depth
        usual = (branching, width, depth) == (_BRANCHING, _WIDTH, _DEPTH)
        self.info = AttackInfo(
            name="tap" if usual else f"tap({branching}, {width}, {depth})",
            family="rewriting",
            revision="2",
            calls=sum(min(branching**level, width * branching) for level in range(1, depth + 1)),
            adaptive=True,
            attacker=True,
            source="Mehrotra et al. 2023",
        )

    async def run(self, session: Session) -> None:
        """Grow the tree level by level; where a level has no prompt, the next tries the same leaves again."""
        leaves = [_Leaf()]
        for level in range(1, self._depth + 1):
            prompts = [text for leaf in leaves for text in await self._grown(session, leaf, level)]
            kept = [text for text in dict.fromkeys(prompts) if await _on_topic(session, text)]
            if not kept:
                continue
            note = f"level {level}, {len(prompts) - len(kept)} of {len(prompts)} pruned"
            asked = await session.ask([user(text) for text in kept], note=note)
            grown = [_Leaf(text, tried) for text, tried in zip(kept, asked, strict=True)]
            leaves = sorted(grown, key=lambda leaf: -leaf.score)[: self._width]

    async def _grown(self, session: Session, leaf: _Leaf, level: int) -> list[str]:
        """Return the prompts that the attacker's model makes of a leaf."""
        written = [
            written_prompt(await session.write(_brief(session, leaf, branch), note=f"level {level}"))
            for branch in range(self._branching)
        ]
        return [text for text in written if text]


def _brief(session: Session, leaf: _Leaf, branch: int) -> Conversation:
    words = wording("tap")
    branches = words["ideas"]
    idea, examples = branches[branch % len(branches)].values()
    before = shots(words["first"], examples, idea=idea)
    objective = session.objective.text
    if leaf.tried is None:
        return talk(words["system"], *before, words["first"].format(objective=objective, idea=idea))
    told = words["next"].format(
        objective=objective,
        idea=idea,
        prompt=leaf.prompt[:SHOWN],
        reply=leaf.tried.reply.text[:SHOWN] or leaf.tried.reply.cause,
        score=1 + round(9 * leaf.score),
    )
    return talk(words["system"], *before, told)


async def _on_topic(session: Session, prompt: str) -> bool:
    words = wording("tap")
    ask = words["on topic"].format(objective=session.objective.text, prompt=prompt[:SHOWN])
    answer = await session.write(talk(words["evaluator"], ask), note="on topic?")
    return not _NO.match(answer or "")


def tap(branching: str = str(_BRANCHING), width: str = str(_WIDTH), depth: str = str(_DEPTH)) -> Tap:
    """Return the attack; UsageError if an argument is not a whole number above 0."""
    return Tap(*whole_numbers("tap", branching=branching, width=width, depth=depth))
