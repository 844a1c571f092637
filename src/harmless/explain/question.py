"""What is explained of a model: how much it leans to refusing a prompt, or to a certain reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import yaml

from harmless.core import Conversation
from harmless.errors import UsageError
from harmless.explain.trie import Tokens, log_probabilities
from harmless.internals.chat import encode
from harmless.internals.model import LocalModel

#: So many openings suffice, or fewer that hold so much of the chance to refuse.
MOST, HELD = 5, 0.95
#: Tokens of a given reply that are looked at.
REPLY_TOKENS = 48


@dataclass(frozen=True, slots=True)
class Question:
    """What is measured behind a prompt.

    Attributes:
        endings: what the reply may begin with, as tokens.
        odds: measure the log-odds that it begins with any of them against all else; otherwise there is one
            ending, and its log-probability is measured. Both in nats.
    """

    endings: tuple[Tokens, ...]
    odds: bool

    @classmethod
    def refusal(cls, local: LocalModel) -> Question:
        """Return the question whether the model opens with a refusal (``openings.yaml``)."""
        return cls(_tokens(local, openings()), True)

    @classmethod
    def reply(cls, local: LocalModel, conversation: Conversation, reply: str) -> Question:
        """Return the question how likely a reply is, at most its first 48 tokens."""
        encoded = encode(local, conversation, reply)
        ending = encoded.tokens[encoded.prompt :][:REPLY_TOKENS]
        if not reply.strip() or not ending:
            raise UsageError("The reply to explain is empty.", "Give one, or leave out --reply.")
        return cls((ending,), False)

    def value(self, log_probabilities: Any) -> Any:
        """Return the measure from a tensor of log-probabilities of shape (..., endings)."""
        import torch

        if not self.odds:
            return log_probabilities[..., 0]
        # One hundred percent would be infinite odds.
        held = torch.logsumexp(log_probabilities, dim=-1).clamp(max=-1e-6)
        return held - torch.log(-torch.expm1(held))

    def values(self, local: LocalModel, prompts: Sequence[Tokens]) -> list[float]:
        """Return the measure behind each prompt, as tokens up to where the reply begins."""
        found: list[float] = self.value(log_probabilities(local, prompts, self.endings)).tolist()
        return found

    def narrowed(self, local: LocalModel, prompts: Sequence[Tokens]) -> Question:
        """Return the question without openings that hardly matter behind these prompts; it is faster."""
        if not self.odds:
            return self
        shares = log_probabilities(local, prompts, self.endings).double().exp()
        shares = (shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-300)).mean(dim=0)
        kept: list[int] = []
        for i in shares.argsort(descending=True).tolist():
            if len(kept) == MOST or (kept and float(shares[kept].sum()) >= HELD):
                break
            kept.append(i)
        return replace(self, endings=tuple(self.endings[i] for i in sorted(kept)))


def _tokens(local: LocalModel, texts: Sequence[str]) -> tuple[Tokens, ...]:
    return tuple(tuple(local.tokenizer(each, add_special_tokens=False)["input_ids"]) for each in texts)


@cache
def openings() -> tuple[str, ...]:
    """Return how replies that refuse begin."""
    text = resources.files(__package__).joinpath("openings.yaml").read_text(encoding="utf-8")
    return tuple(yaml.safe_load(text))
