"""Conversations as a model's tokens, with the places of what was said in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harmless.core import Conversation, Sampling
from harmless.core.lines import lines
from harmless.internals.model import LocalModel


@dataclass(frozen=True, slots=True)
class Encoded:
    """A conversation as tokens, up to where the reply begins, and the reply if there is one.

    Attributes:
        tokens: ids of the conversation with the mark that the model is to speak, then of the reply with the
            mark that ends it.
        prompt: how many of them stand before the reply.
        said: first and last place, half open, of the last user message's own tokens.
    """

    tokens: tuple[int, ...]
    prompt: int
    said: tuple[int, int]


def encode(
    local: LocalModel, conversation: Conversation, reply: str | None = None, *, system: str | None = None
) -> Encoded:
    """Return the tokens of a conversation by the model's own chat template.

    The reply is encoded apart from what stands before it, as it is when the model writes it.

    Raises:
        ValueError: there is nothing to answer, or the template refuses the conversation.
    """
    from jinja2 import TemplateError

    messages = lines(conversation, Sampling(system=system))
    try:
        text = _rendered(local, messages, True)
        after = "" if reply is None else _after(local, messages, text, reply)
    except (TemplateError, TypeError) as error:
        raise ValueError(f"the chat template refuses the conversation: {error}") from None
    tokens, said = _placed(local.tokenizer, text, messages[-1]["content"])
    return Encoded((*tokens, *_ids(local.tokenizer, after)), len(tokens), said)


def _rendered(local: LocalModel, messages: Sequence[dict[str, str]], asks: bool) -> str:
    return str(local.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=asks))


def _after(local: LocalModel, messages: list[dict[str, str]], before: str, reply: str) -> str:
    """Return what the template makes of the reply, with its end mark."""
    whole = _rendered(local, [*messages, {"role": "assistant", "content": reply}], False)
    if whole.startswith(before):
        # A template may put a line break behind the end mark, which the model never writes.
        return whole[len(before) :].rstrip("\n")
    return reply + (local.tokenizer.eos_token or "")


def _ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
    return found


def _placed(tokenizer: Any, text: str, message: str) -> tuple[list[int], tuple[int, int]]:
    """Return the tokens of ``text`` and the places of those that lie in its last ``message``."""
    wanted = message if message in text else message.strip()
    start = text.rfind(wanted)
    if not tokenizer.is_fast or start < 0 or not wanted:
        tokens = _ids(tokenizer, text)
        return tokens, (0, len(tokens))
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    stop = start + len(wanted)
    inside = [i for i, (a, b) in enumerate(found["offset_mapping"]) if a < stop and b > start]
    return list(found["input_ids"]), (inside[0], inside[-1] + 1)
