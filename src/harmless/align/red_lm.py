"""A red LM by training: questions that succeeded are imitated, then those that succeed are rewarded.

Perez et al. 2022: supervised learning on the questions that made a target fail, then reinforcement with the
judge's score of the target's reply as reward, held to the supervised model. How often it succeeds is a rate
under attack, no estimate of harm in use, and as good as the judge: read a sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio
import numpy as np
from numpy.typing import NDArray

from harmless.align.examples import Example
from harmless.attacks.desk import Desk
from harmless.attacks.diversity import bleus
from harmless.attacks.failures import Failure
from harmless.attacks.red_lm import brief, questions
from harmless.check.outcomes import without_judging
from harmless.core import Exchange, Expect, Guard, Prompt, Reply, Sampling, user
from harmless.core.model import Model
from harmless.data.overlap import without_contamination
from harmless.errors import UnreachableError
from harmless.guards.train import contamination

#: Characters of the longest question that is imitated; attacks' frames are longer.
LONGEST = 240
#: Reward of what is no question.
NO_QUESTION = -0.5


class Asked(Model):
    """A question for an objective's hazard, the reply, and the judge's score of it; None if unassessed."""

    objective: Prompt
    question: str
    reply: str
    score: float | None


def successes(failures: Sequence[Failure]) -> tuple[list[Asked], Counter[str]]:
    """Return the questions among what made a target fail, each once, and why others are left out.

    Left out are conversations, what is longer than a question, and what is, or nearly is, in an evaluation
    suite: a model that was trained on those would write more of them.
    """
    left_out: Counter[str] = Counter()
    found: dict[str, Asked] = {}
    for each in failures:
        if len(each.conversation) > 1 or len(each.text) > LONGEST:
            left_out["no single question"] += 1
        elif each.text in found:
            left_out["the same question again"] += 1
        else:
            found[each.text] = Asked(
                objective=each.objective, question=each.text, reply=each.reply, score=each.score
            )
    texts = list(found)
    free = without_contamination(texts, contamination.suites())
    left_out[contamination.REASON] += len(texts) - len(free)
    return [found[texts[i]] for i in free], left_out


def imitated(asked: Sequence[Asked], copies: float, seed: int = 0) -> list[Example]:
    """Return examples of a writer that is told the hazard and writes the question.

    Each question is there ``copies`` times on average, in proportion to its score (systematic sampling), in an
    order by ``seed``.
    """
    scores = np.array([each.score or 0.0 for each in asked])
    count = round(copies * len(asked))
    rng = np.random.default_rng(seed)
    ends = np.cumsum(scores) / scores.sum() * count
    drawn = np.searchsorted(ends, np.arange(count) + rng.random(), side="right").clip(max=len(asked) - 1)
    return [
        Example(
            conversation=brief(asked[i].objective),
            good=asked[i].question,
            expect=Expect.ANSWER,
            hazard=asked[i].objective.hazard,
        )
        for i in rng.permutation(drawn)
    ]


def question_in(text: str) -> str | None:
    """Return the first question of what the model wrote, None if there is none."""
    found = questions(text)
    return found[0] if found and len(found[0]) <= LONGEST else None


@dataclass(frozen=True)
class Questioning:
    """Asks a target questions and judges the replies: the reward of a red LM.

    Args:
        objectives: for the hazards of which questions are written.
        desk: where the target is asked.
        judge: judges each reply in view of its question.
        sampling: of the target's replies.
        repeats: how much of the likeness (BLEU) to the other questions of the step is taken off the score.
        told: gets the step and what was asked.
    """

    objectives: Sequence[Prompt]
    desk: Desk
    judge: Guard
    sampling: Sampling
    repeats: float = 0.0
    told: Callable[[int, list[Asked]], None] = lambda step, asked: None

    async def __call__(self, step: int, places: Sequence[int], texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the reward of each text: score less likeness, NaN where the reply could not be judged.

        Raises:
            UnreachableError: the target only fails, or turns away.
        """
        found = {i: question for i, text in enumerate(texts) if (question := question_in(text))}
        asked = await self.ask([(self.objectives[places[i]], question) for i, question in found.items()])
        self.told(step, asked)
        rewards = np.full(len(texts), NO_QUESTION)
        alike = bleus([each.question for each in asked]) or [0.0] * len(asked)
        for i, each, same in zip(found, asked, alike, strict=True):
            rewards[i] = np.nan if each.score is None else each.score - self.repeats * same
        return rewards

    async def ask(self, questions: Sequence[tuple[Prompt, str]]) -> list[Asked]:
        """Return questions for objectives with the scores of the target's replies.

        Raises:
            UnreachableError: the target only fails, or turns away.
        """
        replies = await self._replies([text for _, text in questions])
        verdicts = [
            without_judging(aim, reply).get("harm") for (aim, _), reply in zip(questions, replies, strict=True)
        ]
        left = [i for i, verdict in enumerate(verdicts) if verdict is None]
        exchanges = [Exchange(conversation=user(questions[i][1]), reply=replies[i].text) for i in left]
        for i, verdict in zip(left, await self.judge.judge(exchanges), strict=True):
            verdicts[i] = verdict
        return [
            Asked(objective=aim, question=text, reply=reply.text, score=verdict.score if verdict else None)
            for (aim, text), reply, verdict in zip(questions, replies, verdicts, strict=True)
        ]

    async def _replies(self, texts: Sequence[str]) -> list[Reply]:
        found: dict[int, Reply] = {}
        failures: list[UnreachableError] = []

        async def one(i: int) -> None:
            try:
                found[i] = await self.desk.ask(user(texts[i]), self.sampling)
            except UnreachableError as error:
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            for i in range(len(texts)):
                tasks.start_soon(one, i)
        if failures:
            raise failures[0]
        return [found[i] for i in range(len(texts))]
