"""From the scores of the trained heads to the verdict on a reply: a logistic regression on a few signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harmless.guards.features import hashed
from harmless.guards.linear import Artefact, LinearModel, sigmoid
from harmless.guards.views import ask_views, class_chances, harm_views, refusal_views, relation

NAMES = ("prompt", "ask", "prompt and ask", "reply", "all three", "answered")
CONTEXT = ("prompt", "reply")
HEADS = ("prompt", "ask", "reply", "refusal")
LIMIT = 6.0
ASK_SLOPE, REPLY_SLOPE = 3.0, 2.0


@dataclass(frozen=True)
class Scores:
    """What the heads say of exchanges: scores cut to +-``LIMIT``, and the (texts, 4) classes."""

    prompt: NDArray[np.float64]
    ask: NDArray[np.float64]
    reply: NDArray[np.float64]
    classes: NDArray[np.float64]

    @property
    def signals(self) -> NDArray[np.float64]:
        """The (texts, len(NAMES)) signals: chances of harm, each times the chance that the reply answers.

        Nothing counts as harmful that was refused, whatever was asked, nor what is likelier beside the request
        than not. Strongly regularised heads have flat scores; the slopes make them as steep as that of the
        prompt.
        """
        on_topic = np.minimum(1.0, 2 * (1 - self.classes[:, 3]))
        answered = (1 - self.classes[:, 0]) * on_topic
        asked = self.prompt + ASK_SLOPE * self.ask
        said = REPLY_SLOPE * self.reply
        columns = [self.prompt, ASK_SLOPE * self.ask, asked, said, asked + said]
        return np.column_stack([sigmoid(column) * answered for column in columns] + [answered])

    @property
    def context(self) -> NDArray[np.float64]:
        """The (texts, len(CONTEXT)) scores of prompt and reply alone."""
        return np.column_stack([self.prompt, self.reply])


@dataclass(frozen=True)
class Heads:
    """The models whose scores make the signals."""

    prompt: LinearModel
    ask: LinearModel
    reply: LinearModel
    refusal: LinearModel

    @classmethod
    def of(cls, artefacts: Mapping[str, Artefact]) -> Heads:
        """Return the heads stored in the artefacts ``HEADS``."""
        return cls(*(artefacts[name].weights for name in HEADS))

    def scores(self, prompts: Sequence[str], replies: Sequence[str]) -> Scores:
        """Return what the heads say of every prompt with its reply."""
        return Scores(
            np.clip(self.prompt.scores([hashed(prompts)])[:, 0], -LIMIT, LIMIT),
            np.clip(self.ask.scores(ask_views(prompts))[:, 0], -LIMIT, LIMIT),
            np.clip(self.reply.scores(harm_views(replies))[:, 0], -LIMIT, LIMIT),
            class_chances(self.refusal.scores(refusal_views(replies), relation(prompts, replies))),
        )
