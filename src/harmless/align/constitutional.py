"""Constitutional AI as a maker of replies: good ones by critique and revision, pairs by AI feedback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from harmless import guards
from harmless.align.constitution import Constitution
from harmless.align.critique import Revision, revise
from harmless.align.drafts import Draft
from harmless.align.feedback import Choice, Fate, prefer
from harmless.align.replies import own_replies
from harmless.core import Exchange, Outcome, Reply, Sampling, Target

UNSAFE = "the guard finds the better reply unsafe"
UNJUDGED = "the guard could not judge the reply"
SILENT = "the target does not reply"

Made: TypeAlias = list[Draft | str]
"""A draft with its replies, or why there are none."""


class Maker(Protocol):
    """Makes the replies to prompts that are to be refused."""

    @property
    def described(self) -> dict[str, Any]:
        """Who makes them, and by what, for the manifest."""
        ...

    async def make(self, drafts: Sequence[Draft], target: Target, kept: Path) -> Made:
        """Return each draft with its replies, or why there are none, in order.

        Args:
            target: the model that is to be aligned.
            kept: the file that holds its replies.
        """
        ...


@dataclass(frozen=True, slots=True)
class Revising:
    """The supervised stage: the target's reply is the bad one, its revision by critique the good one.

    Args:
        critic: writes the critiques; and the revisions, unless a ``reviser`` does.
        rounds: critiques and revisions of each reply.
        reply_tokens: how long the target's first reply may be.
    """

    critic: Target
    constitution: Constitution
    reviser: Target | None = None
    rounds: int = 1
    reply_tokens: int = 64
    seed: int = 0

    @property
    def described(self) -> dict[str, Any]:
        """Critic, reviser, rounds and constitution."""
        return {
            "critic": _named(self.critic),
            "reviser": _named(self.reviser or self.critic),
            "rounds": self.rounds,
            "constitution": _digested(self.constitution),
        }

    async def make(self, drafts: Sequence[Draft], target: Target, kept: Path) -> Made:
        """Return drafts with replies; a revision with a flaw, or an unsafe one, is a cause."""
        conversations = [draft.conversation for draft in drafts]
        first = await own_replies(target, conversations, Sampling(max_tokens=self.reply_tokens), kept)
        spoken = [i for i, reply in enumerate(first) if _says(reply)]
        starts = [Revision(drafts[i].conversation, first[i].text.strip(), drafts[i].hazard) for i in spoken]
        revised = await revise(
            starts, self.critic, self.constitution, reviser=self.reviser, rounds=self.rounds, seed=self.seed
        )
        made: Made = [SILENT] * len(drafts)
        for i, each in zip(spoken, revised, strict=True):
            made[i] = each.flaw.value if each.flaw else replace(drafts[i], good=each.last, bad=each.first)
        return await _safe(made)


@dataclass(frozen=True, slots=True)
class Preferring:
    """The preference stage: of two sampled replies of the target the judge's choice is the good one.

    Args:
        judge: prefers by principles, see :func:`harmless.align.feedback.prefer`.
        temperature: of the target's two replies.
    """

    judge: Target
    constitution: Constitution
    margin: float = 0.1
    temperature: float = 1.0
    reply_tokens: int = 64
    seed: int = 0

    @property
    def described(self) -> dict[str, Any]:
        """Judge and constitution."""
        return {"judge": _named(self.judge), "constitution": _digested(self.constitution)}

    async def make(self, drafts: Sequence[Draft], target: Target, kept: Path) -> Made:
        """Return drafts with replies; a pair that is left open, or an unsafe better reply, is a cause."""
        conversations = [draft.conversation for draft in drafts]
        sampled = []
        for number in range(2):
            sampling = Sampling(
                temperature=self.temperature, max_tokens=self.reply_tokens, seed=self.seed + number
            )
            sampled.append(await own_replies(target, conversations, sampling, kept))
        both = list(zip(*sampled, strict=True))
        spoken = [i for i, (a, b) in enumerate(both) if _says(a) and _says(b)]
        choices = [
            Choice(drafts[i].conversation, (both[i][0].text.strip(), both[i][1].text.strip()), drafts[i].hazard)
            for i in spoken
        ]
        found = await prefer(choices, self.judge, self.constitution, margin=self.margin, seed=self.seed)
        made: Made = [SILENT] * len(drafts)
        for i, each in zip(spoken, found, strict=True):
            preferred = each.fate is Fate.PREFERRED
            made[i] = replace(drafts[i], good=each.better, bad=each.worse) if preferred else each.fate.value
        return await _safe(made)


def _named(target: Target) -> dict[str, str]:
    return {"target": target.info.name, "revision": target.info.revision}


def _digested(constitution: Constitution) -> dict[str, str]:
    return {"name": constitution.name, "digest": constitution.revision_hash}


def _says(reply: Reply) -> bool:
    return reply.has_text and bool(reply.text.strip())


async def _safe(made: Made) -> Made:
    """Return what was made, without drafts whose good reply a guard finds unsafe or cannot judge."""
    found = list(made)
    drafts = {i: each for i, each in enumerate(made) if isinstance(each, Draft)}
    exchanges = [Exchange(conversation=each.conversation, reply=each.good) for each in drafts.values()]
    verdicts = await guards.load("judge").judge(exchanges)
    for i, verdict in zip(drafts, verdicts, strict=True):
        if verdict.outcome is not Outcome.SAFE:
            found[i] = UNSAFE if verdict.outcome is Outcome.UNSAFE else UNJUDGED
    return found
