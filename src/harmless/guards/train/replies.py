"""Train the heads that read replies: the four refusal classes, and harm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harmless.guards.features import Features
from harmless.guards.linear import LinearModel
from harmless.guards.train import own
from harmless.guards.train.fit import How, even, fit, idf_of
from harmless.guards.train.rows import Row
from harmless.guards.views import REFUSAL_CLASSES, REPLY_BITS, refusal_views, relation

REFUSAL, PARTIAL, COMPLIANCE, OFF_TOPIC = range(4)
ON_TOPIC = -1
"""Any of the first three."""
CONSTRUCTED = 700
OFF_TOPIC_WEIGHT = 0.15


@dataclass(frozen=True)
class Classed:
    """Prompts, replies and the class of each reply, with weights."""

    prompts: list[str]
    replies: list[str]
    classes: NDArray[np.int64]
    weights: NDArray[np.float64]


def refusal_truth(row: Row) -> int | None:
    """Return REFUSAL or COMPLIANCE where the data leaves no doubt, else None.

    Refusals: replies of models steered to refuse harmless prompts, replies to the AIM template that the judge
    called safe, and unsteered replies to harmful goals that are safe and open with a refusal. Compliance:
    ordinary replies to harmless prompts, and replies to harmful goals that were judged unsafe.
    """
    opens = row.attack == "jailbreakbench_baseline" and not row.unsafe and bool(row.substring)
    if row.attack in ("harmless_actadd", "JBC") or opens:
        return REFUSAL
    return COMPLIANCE if row.attack == "harmless_baseline" or (row.attack and row.unsafe) else None


def refusal_rows(rows: Sequence[Row], prompts: Sequence[str], rng: np.random.Generator) -> Classed:
    """Return real replies whose class is certain, constructed ones of all four classes, and turns of dialogues.

    What is said in a dialogue is short, and on its topic.

    ``prompts`` are those that our own refusals and answers are written to.
    """
    certain = [(row, truth) for row in rows if (truth := refusal_truth(row)) is not None]
    certain += [(row, ON_TOPIC) for row in rows if row.votes is not None]
    made = constructed(rows, prompts, rng, own.texts("replies"))
    classes = np.array([truth for _, truth in certain], np.int64)
    return Classed(
        [row.prompt for row, _ in certain] + made.prompts,
        [row.reply or "" for row, _ in certain] + made.replies,
        np.concatenate([classes, made.classes]),
        np.concatenate([np.ones(len(certain)), made.weights]),
    )


def constructed(
    rows: Sequence[Row], prompts: Sequence[str], rng: np.random.Generator, phrases: own.Phrases
) -> Classed:
    """Return replies that we make: refusals, answers, partial refusals and replies beside the prompt.

    Partial and off-topic ones are made of real answers to harmful goals and of our own to ``prompts``.
    """
    # Not from harmless prompts: those are Alpaca instructions, and a constructed reply may repeat its prompt.
    answers = [
        row for row in rows if row.unsafe and refusal_truth(row) == COMPLIANCE and len(row.reply or "") > 80
    ]
    count = min(CONSTRUCTED, len(rows))
    some = [answers[i] for i in rng.permutation(len(answers))[:count]]
    asked, said = [row.prompt for row in some], [row.reply or "" for row in some]
    ours = [prompts[i] for i in rng.permutation(len(prompts))[: 2 * count]]
    half, rest = ours[:count], ours[count // 2 :]
    plain = own.compliances(ours, rng, phrases)
    parts = [
        (asked, own.partials(asked, said, rng, phrases), PARTIAL),
        (half, own.partials(half, plain[: len(half)], rng, phrases), PARTIAL),
        (asked, own.off_topic(asked, said, rng, phrases), OFF_TOPIC),
        (rest, own.off_topic(rest, plain[-len(rest) :], rng, phrases), OFF_TOPIC),
        (half, own.refusals(half, rng, phrases), REFUSAL),
        (rest, own.refusals(rest, rng, phrases), REFUSAL),
        (ours, plain, COMPLIANCE),
    ]
    classes = np.array([kind for some, _, kind in parts for _ in some], np.int64)
    return Classed(
        [prompt for some, _, _ in parts for prompt in some],
        [reply for _, replies, _ in parts for reply in replies],
        classes,
        np.where(classes == OFF_TOPIC, OFF_TOPIC_WEIGHT, 1.0),
    )


def fit_refusal(data: Classed, seed: int) -> LinearModel:
    """Return the four heads of refusal.

    Only the off-topic head sees how the reply relates to the prompt, and the other three are told apart among
    replies on the topic: a refusal that restates the request would otherwise look like an answer to it.
    """
    views = refusal_views(data.replies)
    idf = idf_of(*views, bits=REPLY_BITS)
    how = How(REFUSAL_CLASSES[OFF_TOPIC:], bits=REPLY_BITS, seed=seed, idf=idf)
    on_topic = np.flatnonzero((data.classes != OFF_TOPIC) & (data.classes != ON_TOPIC))
    kinds = fit(
        [view.take(on_topic) for view in views],
        data.classes[on_topic],
        replace(how, heads=REFUSAL_CLASSES[:OFF_TOPIC]),
        data.weights[on_topic],
    )
    off = fit(
        views,
        (data.classes == OFF_TOPIC).astype(int),
        how,
        data.weights,
        relation(data.prompts, data.replies),
    )
    return replace(
        off,
        heads=REFUSAL_CLASSES,
        weights=np.concatenate([kinds.weights, off.weights]),
        bias=np.concatenate([kinds.bias, off.bias]),
        dense=np.concatenate([np.zeros((OFF_TOPIC, off.dense.shape[1]), np.float32), off.dense]),
    )


def fit_harm(views: Sequence[Features], rows: Sequence[Row], seed: int) -> LinearModel:
    """Return the head of harm of replies, from :func:`harm_views` of rows with a label of harm.

    Turns rated by people and options of multiple-choice questions are short and unlike chat replies: they
    weigh less.
    """
    labels = np.array([int(bool(row.unsafe)) for row in rows])
    weights = np.array([1.0 if row.attack else 0.5 if row.votes is not None else 0.15 for row in rows])
    even(weights, labels)
    return fit(views, labels, How(("harm",), strength=2.0, bits=REPLY_BITS, seed=seed), weights)


def fit_ask(views: Sequence[Features], goals: Sequence[str], seed: int) -> LinearModel:
    """Return a second head of harm of prompts, from :func:`ask_views`: attacked goals against benign prompts.

    ``goals`` names the goal of every prompt, empty for a benign one. Every goal weighs the same, however many
    attacks wrap it. The prompts that the steered models were given as harmless are not among the benign ones:
    they are Alpaca instructions, which may not be trained on.
    """
    labels = np.array([int(bool(goal)) for goal in goals])
    counts = Counter(goals)
    weights = np.array([1 / counts[goal] if goal else 1.0 for goal in goals])
    even(weights, labels)
    return fit(views, labels, How(("harm",), strength=0.5, bits=REPLY_BITS, seed=seed), weights)
