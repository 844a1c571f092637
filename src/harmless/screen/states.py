"""Replies that stand apart under a model: by their loss, and by their hidden states.

The loss of a reply is its mean over tokens, given the prompt. The spectral signature (Tran et al. 2018) is how
far a reply's mean hidden state lies along the direction in which those of its kind, refusals or answers, differ
most: poison that teaches one thing in many rows is such a direction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harmless.data.lessons import Lesson
from harmless.internals.chat import Encoded, encode
from harmless.internals.hidden import watching
from harmless.internals.layers import decoder_layers
from harmless.internals.model import LocalModel
from harmless.screen.verdicts import Kind, Reason

#: Robust deviations (of the median, in units of 1.4826 MAD) from which a row stands apart.
LOSS, SPECTRAL = 5.0, 6.0
#: Rows of a kind at least; with fewer no direction is told from chance.
LEAST = 30
#: Where the hidden states are read, as a share of the layers.
DEPTH = 2 / 3
_BATCH_TOKENS = 1024

Array = NDArray[np.float64]


def outliers(
    lessons: Sequence[Lesson], refused: Sequence[bool], local: LocalModel
) -> Iterator[tuple[int, Reason]]:
    """Yield row and reason for each reply whose loss or hidden state stands apart.

    Args:
        refused: whether each reply refuses; both kinds are compared with their own only.
    """
    rows = [row for row, each in enumerate(lessons) if each.reply.strip()]
    losses, states = read(local, [lessons[row] for row in rows])
    kinds = np.array([refused[row] for row in rows], dtype=bool)
    for kind in (False, True):
        places = np.flatnonzero(kinds == kind)
        if len(places) < LEAST:
            continue
        for name, limit, scores in (
            (Kind.LOSS, LOSS, deviations(losses[places])),
            (Kind.SPECTRAL, SPECTRAL, np.abs(deviations(signature(states[places])))),
        ):
            for place in np.flatnonzero(scores >= limit):
                score = float(scores[place])
                detail = (
                    f"loss {losses[places[place]]:.2f}" if name is Kind.LOSS else "along the main direction"
                )
                yield rows[places[place]], Reason(kind=name, score=score, detail=detail)


def deviations(values: Array) -> Array:
    """Return how many robust standard deviations each value lies above the median; zeros if all are alike."""
    apart = values - np.median(values)
    scale = 1.4826 * np.median(np.abs(apart))
    return apart / scale if scale > 0 else np.zeros_like(apart)


def signature(states: Array) -> Array:
    """Return the place of each of (n, width) states on their first principal direction, shape (n,)."""
    centred = states - states.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    place: Array = centred @ directions[0]
    return place


def read(local: LocalModel, lessons: Sequence[Lesson]) -> tuple[Array, Array]:
    """Return the mean loss of each reply in nats a token, (n,), and its mean hidden state, (n, width).

    What does not fit the model's context is cut at its end.
    """
    layer = max(round(DEPTH * len(decoder_layers(local.model))), 1)
    encoded = [_fitting(encode(local, each.conversation, each.reply), local.context) for each in lessons]
    losses, states = np.zeros(len(encoded)), {}
    for batch in _batches(encoded):
        with watching(local, [layer], stop=False) as seen:
            found = _losses(local, [encoded[i] for i in batch])
        for at, i in enumerate(batch):
            each = encoded[i]
            losses[i] = found[at]
            states[i] = seen[layer][at, each.prompt : len(each.tokens)].float().mean(0).cpu().numpy()
    return losses, np.stack([states[i] for i in range(len(encoded))]).astype(np.float64)


def _losses(local: LocalModel, batch: Sequence[Encoded]) -> list[float]:
    import torch

    width, pad = max(len(each.tokens) for each in batch), local.tokenizer.pad_token_id
    ids = torch.tensor(
        [[*each.tokens, *[pad] * (width - len(each.tokens))] for each in batch], device=local.device
    )
    mask = torch.tensor([[i < len(each.tokens) for i in range(width)] for each in batch], device=local.device)
    with torch.inference_mode():
        logits = local.model(input_ids=ids, attention_mask=mask.long(), use_cache=False).logits
    found = []
    for row, each in enumerate(batch):
        said = slice(each.prompt - 1, len(each.tokens) - 1)
        expected = ids[row, each.prompt : len(each.tokens)]
        found.append(float(torch.nn.functional.cross_entropy(logits[row, said].float(), expected)))
    return found


def _fitting(encoded: Encoded, context: int | None) -> Encoded:
    """Cut a conversation to the context; of a long prompt the end is kept, and half is for the reply."""
    if context is None or len(encoded.tokens) <= context:
        return encoded
    start = max(encoded.prompt - context // 2, 0)
    return Encoded(encoded.tokens[start : start + context], encoded.prompt - start, encoded.said)


def _batches(encoded: Sequence[Encoded]) -> Iterator[list[int]]:
    """Yield places of rows of about the same length."""
    batch: list[int] = []
    for i in sorted(range(len(encoded)), key=lambda each: len(encoded[each].tokens)):
        if batch and len(encoded[i].tokens) * (len(batch) + 1) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
