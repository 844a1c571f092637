"""Passages that a model may have been trained on, and how likely each of their tokens is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harmless.core import Conversation
from harmless.data.files import read_rows
from harmless.data.lessons import read_lessons
from harmless.errors import BadFileError
from harmless.internals.chat import encode
from harmless.internals.model import LocalModel

#: Tokens in one call of the model; its output has a number for each word of the vocabulary.
_BATCH_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Passage:
    """A text, or a reply to a conversation; an empty conversation means plain text."""

    text: str
    conversation: Conversation = ()


class Tokens(NamedTuple):
    """A passage as tokens, cut to the model's context; those from ``start`` on are of the text."""

    ids: list[int]
    start: int


class Likelihood(NamedTuple):
    """The log-probability of each token of a passage, (tokens,), and the same standardised.

    ``z`` is (log p - mean) / standard deviation over what could have stood there (Zhang et al. 2024).
    """

    logp: NDArray[np.float64]
    z: NDArray[np.float64]


def read_passages(path: str | Path) -> list[Passage]:
    """Return the rows of a file: ``text``, or the layouts of a fine-tuning set; a text file has one a line.

    Raises:
        BadFileError: a row has neither, or there is none; names the line.
    """
    rows = list(read_rows(Path(path)))
    if rows and all("text" in row for _, row in rows):
        found = [Passage(str(row["text"])) for _, row in rows]
    else:
        found = [Passage(lesson.reply, lesson.conversation) for _, lesson in read_lessons(path)]
    found = [each for each in found if each.text.strip()]
    if not found:
        raise BadFileError(path, "There is no text in it.", next_step="Give 'text', or 'prompt' and 'reply'.")
    return found


def tokens_of(local: LocalModel, passage: Passage) -> Tokens:
    """Return a passage as the model was trained on it: as plain text, or by its chat template."""
    if passage.conversation:
        found = encode(local, passage.conversation, passage.text)
        ids, start = list(found.tokens), found.prompt
    else:
        ids, start = list(local.tokenizer(passage.text)["input_ids"]), 1  # the first one is not predicted
    return Tokens(ids[: local.context], min(start, len(ids)))


def likelihoods(local: LocalModel, passages: Sequence[Passage]) -> list[Likelihood]:
    """Return how likely the tokens of each passage are; empty arrays where none is predicted."""
    rows = [tokens_of(local, each) for each in passages]
    empty = np.zeros(0)
    found = [Likelihood(empty, empty)] * len(rows)
    for batch in _batches(rows):
        for i, each in zip(batch, _likely(local, [rows[i] for i in batch]), strict=True):
            found[i] = each
    return found


def _likely(local: LocalModel, rows: Sequence[Tokens]) -> Iterator[Likelihood]:
    import torch

    width, pad = max(len(row.ids) for row in rows), local.tokenizer.pad_token_id
    ids = torch.tensor([[*row.ids, *[pad] * (width - len(row.ids))] for row in rows], device=local.device)
    mask = torch.tensor([[int(i < len(row.ids)) for i in range(width)] for row in rows], device=local.device)
    with torch.inference_mode():
        logits = local.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        for i, row in enumerate(rows):
            every = logits[i, row.start - 1 : len(row.ids) - 1].float().log_softmax(-1)
            logp = every.gather(1, ids[i, row.start : len(row.ids), None])[:, 0]
            mean, deviation = _moments(every)
            yield Likelihood(_array(logp), _array((logp - mean) / deviation))


def _moments(every: Any) -> tuple[Any, Any]:
    """Return mean and standard deviation of the log-probability of what may come, place by place."""
    shares = every.exp()
    mean = (shares * every).sum(-1)
    return mean, ((shares * every**2).sum(-1) - mean**2).clamp_min(1e-9).sqrt()


def _array(values: Any) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values.double().cpu().numpy()
    return found


def _batches(rows: Sequence[Tokens]) -> Iterator[list[int]]:
    """Yield places of rows of about the same length, of those in which a token is predicted."""
    batch: list[int] = []
    fitting = [i for i, row in enumerate(rows) if len(row.ids) > row.start]
    for i in sorted(fitting, key=lambda each: len(rows[each].ids)):
        if batch and len(rows[i].ids) * (len(batch) + 1) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
