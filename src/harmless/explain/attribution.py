"""Which words of a prompt drive refusal, or a certain reply: by leaving them out, and by gradients.

Positive scores speak for a refusal (or for the reply), negative ones against it; all are in nats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Literal, TypeAlias

from harmless.core import Conversation, user
from harmless.core.model import Model
from harmless.errors import MissingExtraError, UsageError
from harmless.explain.deletion import Deletion, Edits
from harmless.explain.question import Question
from harmless.explain.trie import Sheaf, hidden, sums
from harmless.guards.flips import Span, pieces
from harmless.internals.chat import Encoded, encode
from harmless.internals.layers import bare
from harmless.internals.model import LocalModel

Method: TypeAlias = Literal["ablation", "gradient", "integrated"]
"""Leaving out each word; input times gradient; integrated gradients from padding (Sundararajan et al. 2017)."""

STEPS = 12
"""Points between padding and the prompt at which integrated gradients are taken."""


class Attribution(Model):
    """What each word adds, by one method.

    ``scores`` belong to the spans of :class:`Explained`. ``gap`` is, of integrated gradients, what they do not
    explain of the change from padding to the prompt, as a share of it.
    """

    method: Method
    scores: tuple[float, ...]
    gap: float | None = None
    deletion: Deletion | None = None


class Explained(Model):
    """A prompt, how much the model leans to what is explained, and which words drive it.

    ``value`` is the log-odds that the reply opens with a refusal, or the log-probability of ``reply``.
    """

    target: str
    text: str
    reply: str | None
    value: float
    spans: tuple[Span, ...]
    attributions: tuple[Attribution, ...]


def attribute(
    local: LocalModel,
    text: str,
    methods: Sequence[Method] = ("ablation", "gradient"),
    *,
    reply: str | None = None,
    test: bool = True,
) -> Explained:
    """Return what each word of a prompt adds to the leaning to refuse it, or to ``reply``.

    Args:
        local: the model.
        text: the prompt, one user message.
        methods: one or several.
        reply: explain this reply instead of refusal.
        test: check each method by leaving out words in its order.

    Raises:
        UsageError: the prompt has no words.
        MissingExtraError: captum is not installed, for gradients.
    """
    spans = tuple(pieces(text))
    if not spans:
        raise UsageError("The prompt has no words.", "Give a prompt with words to explain.")
    encoded = encode(local, user(text))
    question = question_of(local, user(text), encoded, reply)
    edits = Edits(local, question, text, spans)
    found = []
    for method in methods:
        scores, gap = _scores(local, method, question, encoded, edits)
        found.append(
            Attribution(
                method=method,
                scores=tuple(scores),
                gap=gap,
                deletion=edits.tested(scores) if test and len(spans) > 1 else None,
            )
        )
    return Explained(
        target=local.name, text=text, reply=reply, value=edits.whole, spans=spans, attributions=tuple(found)
    )


def question_of(local: LocalModel, conversation: Conversation, encoded: Encoded, reply: str | None) -> Question:
    """Return what is asked of a model about a conversation: does it refuse, or does it give this reply."""
    if reply is not None:
        return Question.reply(local, conversation, reply)
    return Question.refusal(local).narrowed(local, [encoded.tokens])


def _scores(
    local: LocalModel, method: Method, question: Question, encoded: Encoded, edits: Edits
) -> tuple[list[float], float | None]:
    if method == "ablation":
        return edits.alone(), None
    found, gap = _gradients(local, question, encoded, integrated=method == "integrated")
    places = _characters(local, encoded)
    scores = [0.0] * len(edits.spans)
    for score, (start, stop) in zip(found, places, strict=True):
        for i, (a, b) in enumerate(edits.spans):
            if start < b and stop > a:
                scores[i] += score
                break
    return scores, gap


def _characters(local: LocalModel, encoded: Encoded) -> list[Span]:
    """Return which characters of the message each of its tokens stands for."""
    start, stop = encoded.said
    ends = [len(local.tokenizer.decode(list(encoded.tokens[start:end]))) for end in range(start, stop + 1)]
    return list(pairwise(ends))


def _gradients(
    local: LocalModel, question: Question, encoded: Encoded, *, integrated: bool
) -> tuple[list[float], float | None]:
    """Return what each token of the message adds, and how far integrated gradients are from complete."""
    try:
        from captum.attr import LayerGradientXActivation, LayerIntegratedGradients
    except ImportError as error:
        raise MissingExtraError("Attribution by gradients", "explain") from error
    import torch

    sheaf = Sheaf(len(question.endings))
    sheaf.add(0, encoded.tokens, question.endings)
    nodes = sheaf.paths[0][slice(*encoded.said)]
    ids = torch.tensor([sheaf.trie.tokens], device=local.device)
    padding = ids.clone()
    padding[0, nodes] = local.tokenizer.pad_token_id

    def measured(tokens: Any) -> Any:
        return question.value(sums(local, sheaf, hidden(local, sheaf.trie, tokens)))[:, 0]

    with _differentiable(local) as embedding:
        if not integrated:
            found = LayerGradientXActivation(measured, embedding).attribute(ids)
            return found.sum(-1)[0, nodes].tolist(), None
        by = LayerIntegratedGradients(measured, embedding)
        found = by.attribute(ids, padding, n_steps=STEPS, internal_batch_size=1)
    scores = found.sum(-1)[0, nodes].tolist()
    return scores, _gap(measured, ids, padding, sum(scores))


def _gap(measured: Callable[[Any], Any], ids: Any, padding: Any, explained: float) -> float:
    import torch

    with torch.inference_mode():
        change = float(measured(ids)) - float(measured(padding))
    return abs(change - explained) / max(abs(change), 1e-6)


@contextmanager
def _differentiable(local: LocalModel) -> Iterator[Any]:
    """Yield the embedding, with gradients even if it is frozen, as under an adapter."""
    embedding = bare(local.model).get_input_embeddings()
    weight = embedding.weight
    before = weight.requires_grad
    weight.requires_grad_(True)
    try:
        yield embedding
    finally:
        weight.requires_grad_(before)
