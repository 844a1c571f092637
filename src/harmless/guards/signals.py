"""From the scores of the trained heads to the verdict on a reply: a logistic regression on a few signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harmless.guards.features import hashed
from harmless.guards.linear import LinearModel, sigmoid, softmax
from harmless.guards.views import harm_views, refusal_views, relation

NAMES = (
    "prompt",
    "reply",
    "refusal",
    "partial_refusal",
    "compliance",
    "prompt and compliance",
    "reply and compliance",
    "harmful prompt and compliance",
)
CONTEXT = ("prompt", "reply")


@dataclass(frozen=True)
class Heads:
    """The three models whose scores make the signals."""

    prompt: LinearModel
    reply: LinearModel
    refusal: LinearModel

    def classes(self, prompts: Sequence[str], replies: Sequence[str]) -> NDArray[np.float64]:
        """Return the (texts, 4) probabilities of the refusal classes."""
        return softmax(self.refusal.scores(refusal_views(replies), relation(prompts, replies)))

    def signals(self, prompts: Sequence[str], replies: Sequence[str]) -> NDArray[np.float64]:
        """Return the (texts, len(NAMES)) signals of exchanges; scores are cut to -6 to 6."""
        prompt = np.clip(self.prompt.scores([hashed(prompts)])[:, 0], -6, 6)
        reply = np.clip(self.reply.scores(harm_views(replies))[:, 0], -6, 6)
        classes = self.classes(prompts, replies)
        complies = classes[:, 2]
        return np.column_stack(
            [prompt, reply, classes[:, :3], prompt * complies, reply * complies, sigmoid(prompt) * complies]
        )
