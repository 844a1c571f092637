"""The tokens in an answer of the OpenAI API, in the forms that servers give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harmless.core.completion import Token


def tokens_of(choice: Mapping[str, Any]) -> tuple[Token, ...]:
    """Return the tokens of one choice, none if it has no log-probabilities.

    Chat completions have ``logprobs.content``, as have all completions of llama.cpp; text completions have
    parallel lists in ``logprobs``.
    """
    found = choice.get("logprobs") or {}
    if found.get("content"):
        return tuple(_token(each) for each in found["content"])
    texts, values = found.get("tokens") or (), found.get("token_logprobs") or ()
    tops = found.get("top_logprobs") or [None] * len(texts)
    return tuple(
        Token(text=text, logprob=value, top=tuple((top or {}).items()))
        for text, value, top in zip(texts, values, tops, strict=True)
        if value is not None
    )


def _token(each: Mapping[str, Any]) -> Token:
    top = tuple((other["token"], other["logprob"]) for other in each.get("top_logprobs") or ())
    return Token(text=each["token"], logprob=each["logprob"], top=top)
