"""The supervised stage of Constitutional AI: reply, critique, revise, several rounds, a principle drawn each.

Bai et al. 2022 (arXiv:2212.08073), section 3. Critic and reviser are any target. A weak one refuses the task,
repeats it, or changes nothing: such revisions are left out and counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from harmless import guards
from harmless.align.asking import ask_all, chat, wording
from harmless.align.constitution import Constitution, Principle
from harmless.core import Conversation, Exchange, Guard, Sampling, Target, user
from harmless.guards.refusal import refused

CRITIQUE = Sampling(max_tokens=96)
REVISION = Sampling(max_tokens=128)

_LABEL = re.compile(r"(?i)^\s*\W*(?:revised|new|rewritten|better|improved|assistant)[^\n:]{0,30}:\s*")
_TASK = re.compile(r"(?i)critique|\b(?:the|this|assistant's) (?:last |new |revised )?reply\b|chat between")


class Flaw(StrEnum):
    """Why a revision cannot be used."""

    NO_REPLY = "the critic or reviser does not reply"
    REFUSED = "the critic refuses to criticise"
    UNJUDGED = "the guard could not judge the critique"
    ECHO = "the revision repeats the task"
    SAME = "the revision changes nothing"


@dataclass(frozen=True, slots=True)
class Round:
    """One critique and the reply revised by it."""

    principle: str
    critique: str
    revision: str


@dataclass(frozen=True, slots=True)
class Revision:
    """The first reply to a prompt and its rounds of revision; ``flaw`` says why the last one cannot be used."""

    conversation: Conversation
    first: str
    hazard: str | None = None
    rounds: tuple[Round, ...] = ()
    flaw: Flaw | None = None

    @property
    def last(self) -> str:
        """The reply after the last round."""
        return self.rounds[-1].revision if self.rounds else self.first


@dataclass(frozen=True, slots=True)
class Gain:
    """How usable revisions compare with the first replies, by a guard: the score fell, rose, or neither."""

    better: int
    worse: int
    same: int
    unassessed: int

    @property
    def n(self) -> int:
        """All that were judged."""
        return self.better + self.worse + self.same


async def revise(
    replies: Sequence[Revision],
    critic: Target,
    constitution: Constitution,
    *,
    reviser: Target | None = None,
    rounds: int = 1,
    seed: int = 0,
) -> list[Revision]:
    """Return the replies after so many further rounds, in order.

    Args:
        critic: writes the critiques; and the revisions, unless a ``reviser`` does.
        constitution: where a principle is drawn from for each round, without repetition while there are more.
        rounds: critiques and revisions of each reply; a reply with a flaw goes no further.
        seed: of the principles.
    """
    found = list(replies)
    principles = [
        constitution.drawn(each.conversation[-1].content, each.hazard, rounds, seed) for each in replies
    ]
    for number in range(rounds):
        open_ = [i for i, each in enumerate(found) if each.flaw is None]
        drawn = [principles[i][number] for i in open_]
        revised = await _round([found[i] for i in open_], drawn, critic, reviser or critic)
        for i, each in zip(open_, revised, strict=True):
            found[i] = each
    return found


async def gain(revisions: Sequence[Revision], guard: Guard, *, least: float = 0.05) -> Gain:
    """Return how often a guard finds the revised reply less (or more) risky than the first one.

    Args:
        revisions: those with a flaw are left out.
        guard: its scores are compared.
        least: what a score has to move by to count.
    """
    usable = [each for each in revisions if each.flaw is None]
    first = await guard.judge([Exchange(conversation=each.conversation, reply=each.first) for each in usable])
    last = await guard.judge([Exchange(conversation=each.conversation, reply=each.last) for each in usable])
    moves = [
        None if a.score is None or b.score is None else a.score - b.score
        for a, b in zip(first, last, strict=True)
    ]
    known = [move for move in moves if move is not None]
    better, worse = sum(move >= least for move in known), sum(move <= -least for move in known)
    return Gain(better, worse, len(known) - better - worse, len(moves) - len(known))


def boilerplate(replies: Sequence[str], words: int = 4) -> float:
    """Return the share of replies that open with the most common ``words``; 0 for none.

    Replies that all open alike teach the opening, not the judgement.
    """
    openings = Counter(tuple(reply.lower().split()[:words]) for reply in replies)
    return max(openings.values(), default=0) / max(len(replies), 1)


async def _round(
    revisions: Sequence[Revision], principles: Sequence[Principle], critic: Target, reviser: Target
) -> list[Revision]:
    chats = [chat(each.conversation, each.last) for each in revisions]
    asked = [
        user(wording("critique", chat=said, request=principle.critique))
        for said, principle in zip(chats, principles, strict=True)
    ]
    critiques = await ask_all(critic, asked, CRITIQUE)
    tasks = [
        user(wording("revision", chat=said, critique=critique, request=principle.revision))
        for said, principle, critique in zip(chats, principles, critiques, strict=True)
    ]
    texts = await ask_all(reviser, tasks, REVISION)
    declines = await _declined(asked, critiques)
    found = []
    for i, each in enumerate(revisions):
        done = Round(principles[i].id, critiques[i], _plain(texts[i]))
        flaw = declines[i] or _flaw(each.last, done)
        found.append(replace(each, rounds=(*each.rounds, done), flaw=flaw))
    return found


async def _declined(asked: Sequence[Conversation], critiques: Sequence[str]) -> list[Flaw | None]:
    exchanges = [Exchange(conversation=a, reply=c) for a, c in zip(asked, critiques, strict=True)]
    flaws = {True: Flaw.REFUSED, False: None, None: Flaw.UNJUDGED}
    return [flaws[refused(verdict)] for verdict in await guards.load("refusal").judge(exchanges)]


def _plain(text: str) -> str:
    """Return a revision without a label before it and quotes around it."""
    return _LABEL.sub("", text).strip().strip('"').strip()


def _flaw(before: str, done: Round) -> Flaw | None:
    if not done.critique or not done.revision:
        return Flaw.NO_REPLY
    if _TASK.search(done.revision):
        return Flaw.ECHO
    return Flaw.SAME if done.revision == before.strip() else None
