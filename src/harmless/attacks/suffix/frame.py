"""A suffix's place in a conversation, in text and in tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harmless.core import Conversation, Message, Sampling
from harmless.core.lines import lines
from harmless.errors import UsageError
from harmless.internals.model import LocalModel

#: Stands for the suffix while the chat template is applied.
_MARK = "\ue000"
#: What suffixes to begin with repeat, the first that is one token each; the other one shows where they lie.
_STARTS = ((" x", " y"), ("x", "y"), (" !", " ?"))


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around a suffix of the last user message.

    Attributes:
        before, after: the text around it, by the model's chat template.
        head, tail: the same as tokens.
        start: tokens of the suffix to begin with.
        aim: tokens of the reply's beginning that is to become likely.
        tokenizer: the model's.
    """

    before: str
    after: str
    head: tuple[int, ...]
    tail: tuple[int, ...]
    start: tuple[int, ...]
    aim: tuple[int, ...]
    tokenizer: Any

    def texts(self, suffixes: Sequence[Sequence[int]]) -> list[str]:
        """Return suffixes as texts, with the space before them."""
        # A tokenizer may drop the space before its first token, so something stands before it.
        anchor = list(self.head[-1:])
        cut = len(self._decoded([anchor])[0])
        return [text[cut:] for text in self._decoded([[*anchor, *each] for each in suffixes])]

    def surviving(self, suffixes: Sequence[Sequence[int]]) -> list[int]:
        """Return the places of those whose text, in its conversation, is read as the same tokens again."""
        if not suffixes:
            return []
        texts = self.texts(suffixes)
        read = self.tokenizer([self.before + text + self.after for text in texts], add_special_tokens=False)
        return [
            i
            for i, (suffix, text, tokens) in enumerate(zip(suffixes, texts, read["input_ids"], strict=True))
            # Chat templates and services may strip a message.
            if text.rstrip() == text and tokens == [*self.head, *suffix, *self.tail]
        ]

    def _decoded(self, rows: list[list[int]]) -> list[str]:
        decoded: list[str] = self.tokenizer.batch_decode(rows, clean_up_tokenization_spaces=False)
        return decoded


def framed(local: LocalModel, conversation: Conversation, aim: str, length: int, system: str | None) -> Frame:
    """Return the place for a suffix of ``length`` tokens behind the last message of a conversation.

    Raises:
        UsageError: the chat template refuses the conversation, the model has no room for it, or the tokenizer
            leaves no place for a suffix.
    """
    before, after = _around(local, conversation, system)
    aimed = tuple(local.tokenizer(aim, add_special_tokens=False)["input_ids"])
    for starts in _STARTS:
        ids = local.tokenizer([before + each * length + after for each in starts], add_special_tokens=False)
        one, other = (tuple(row) for row in ids["input_ids"])
        head, tail = _common(one, other), _common(one[::-1], other[::-1])
        stop = len(one) - tail
        if local.context and len(one) + len(aimed) > local.context:
            raise UsageError(
                f"The objective has no room in the {local.context} tokens of {local.name}.", "Shorten it."
            )
        if head and stop - head == length:
            return Frame(before, after, one[:head], one[stop:], one[head:stop], aimed, local.tokenizer)
    raise UsageError(
        f"The tokenizer of {local.name} leaves no place for a suffix.", "Use random_search instead."
    )


def _around(local: LocalModel, conversation: Conversation, system: str | None) -> tuple[str, str]:
    from jinja2 import TemplateError

    *earlier, last = conversation
    marked = (*earlier, Message(role=last.role, content=last.content + _MARK))
    try:
        text: str = local.tokenizer.apply_chat_template(
            lines(marked, Sampling(system=system)), tokenize=False, add_generation_prompt=True
        )
    except (TemplateError, TypeError) as error:
        raise UsageError(
            f"The chat template of {local.name} refuses the conversation: {error}.",
            "Leave the system prompt out.",
        ) from None
    before, _, after = text.rpartition(_MARK)
    return before, after


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
