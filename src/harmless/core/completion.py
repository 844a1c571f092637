"""What a target that takes exact inputs is asked, and what it gives back: tokens with their probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from pydantic import Field, model_validator

from harmless.core.model import Model
from harmless.core.protocols import Target
from harmless.core.reply import Reply
from harmless.core.sampling import Sampling


class ModelInput(Model):
    """An input as a model wants it: raw ``text``, or ``messages`` for the model's own chat template.

    Raw text has no beginning-of-text token; the target adds it as the tokenizer does. Messages may have roles
    (``context``, ``tools``) and contents (lists of parts) that a conversation does not know. ``template`` are
    further arguments of the chat template.
    """

    text: str | None = None
    messages: tuple[Mapping[str, Any], ...] = ()
    template: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_both(self) -> ModelInput:
        if (self.text is None) == (not self.messages):
            raise ValueError("an input is either text or messages")
        return self


class Token(Model):
    """One generated token: its text, the natural logarithm of its probability, and what could have stood there.

    ``top`` holds the most likely tokens of that place with their log-probabilities, as far as asked for; two
    tokens may have the same text.
    """

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


class Completion(Reply):
    """A reply with its tokens; none where the target gives no probabilities, or none were asked for."""

    tokens: tuple[Token, ...] = ()

    @classmethod
    def of(cls, reply: Reply, tokens: Sequence[Token] = ()) -> Completion:
        """Return ``reply`` with ``tokens``; a completion keeps its own."""
        return reply if isinstance(reply, cls) else cls(**dict(reply), tokens=tuple(tokens))


@runtime_checkable
class CompletionTarget(Target, Protocol):
    """A target that also takes exact inputs: raw text, arguments of the chat template, special roles."""

    async def complete(
        self, inputs: Sequence[ModelInput], sampling: Sampling, top_logprobs: int = 0
    ) -> list[Completion]:
        """Return one completion an input, in order; a failure is a completion with its cause.

        Args:
            inputs: raw texts or messages.
            sampling: how to decode; its system prompt is not used.
            top_logprobs: how many of the most likely tokens to give for each place, 0 for none.
        """
        ...
