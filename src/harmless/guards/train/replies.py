"""Train the heads that read replies: the four refusal classes, and harm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harmless.guards.linear import LinearModel
from harmless.guards.train import own
from harmless.guards.train.fit import fit
from harmless.guards.train.rows import Row
from harmless.guards.views import REFUSAL_CLASSES, REPLY_BITS, harm_views, refusal_views, relation

REFUSAL, PARTIAL, COMPLIANCE, OFF_TOPIC = range(4)
CONSTRUCTED = 700
OFF_TOPIC_WEIGHT = 0.4


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
    """Return real replies whose class is certain, and constructed ones of all four classes.

    ``prompts`` are those that our own refusals and answers are written to.
    """
    certain = [(row, truth) for row in rows if (truth := refusal_truth(row)) is not None]
    answers = [row for row, truth in certain if truth == COMPLIANCE and len(row.reply or "") > 80]
    count = min(CONSTRUCTED, len(rows))
    some = [answers[i] for i in rng.permutation(len(answers))[:count]]
    asked, said = [row.prompt for row in some], [row.reply or "" for row in some]
    ours = [prompts[i] for i in rng.permutation(len(prompts))[: 2 * count]]
    half, rest = ours[:count], ours[count // 2 :]
    plain = own.compliances(ours, rng)
    parts = [
        ([row.prompt for row, _ in certain], [row.reply or "" for row, _ in certain], [t for _, t in certain]),
        (asked, own.partials(asked, said, rng), [PARTIAL] * len(asked)),
        (half, own.partials(half, plain[: len(half)], rng), [PARTIAL] * len(half)),
        (asked, own.off_topic(asked, said, rng), [OFF_TOPIC] * len(asked)),
        (rest, own.off_topic(rest, plain[-len(rest) :], rng), [OFF_TOPIC] * len(rest)),
        (half, own.refusals(half, rng), [REFUSAL] * len(half)),
        (rest, own.refusals(rest, rng), [REFUSAL] * len(rest)),
        (ours, plain, [COMPLIANCE] * len(ours)),
    ]
    classes = np.array([c for _, _, part in parts for c in part])
    weights = np.where(classes == OFF_TOPIC, OFF_TOPIC_WEIGHT, 1.0)
    return Classed(
        [p for part, _, _ in parts for p in part], [r for _, part, _ in parts for r in part], classes, weights
    )


def fit_refusal(data: Classed, seed: int) -> LinearModel:
    """Return the four heads of refusal."""
    return fit(
        refusal_views(data.replies),
        data.classes,
        heads=REFUSAL_CLASSES,
        weights=data.weights,
        dense=relation(data.prompts, data.replies),
        bits=REPLY_BITS,
        seed=seed,
    )


def fit_harm(rows: Sequence[Row], seed: int) -> LinearModel:
    """Return the head of harm of replies, trained on rows with a label of harm.

    Turns rated by people and options of multiple-choice questions are short and unlike chat replies: they
    weigh half.
    """
    labels = np.array([int(bool(row.unsafe)) for row in rows])
    weights = np.array([1.0 if row.attack else 0.5 for row in rows])
    for label in (0, 1):
        weights[labels == label] *= len(rows) / 2 / weights[labels == label].sum()
    views = harm_views([row.reply or "" for row in rows])
    return fit(views, labels, heads=("harm",), weights=weights, strength=2.0, bits=REPLY_BITS, seed=seed)
