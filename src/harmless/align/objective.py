"""From a batch of packed replies to the loss of a method, and what is shown of it."""

from __future__ import annotations

from typing import Any

from harmless.align import losses
from harmless.align.network import deciding, summed
from harmless.align.packing import Pack
from harmless.align.settings import Tuning

#: Replies of an example, in the order of its tree.
GOOD, BAD, OTHER = 0, 1, 2


def objective(
    values: Any, batch: Pack, reference: Any, tuning: Tuning, line: float = 0.0
) -> tuple[Any, dict[str, float]]:
    """Return the loss of a batch, a scalar, and the figures that are shown beside it.

    Replies that are the model's own are not imitated: they are held otherwise, see :class:`Tuning`.

    Args:
        values: log-probability of each reply token under the policy.
        batch: every tree has the same number of replies.
        reference: what the reference gives to each reply, summed, (trees, replies); None where there is none.
        tuning: the loss and its parameters.
        line: for dpo and simpo, by how much a refusal has to be less likely than the preference alone makes it,
            in nats: the margin of each example is moved by it.
    """
    each = {"sft": 1, "kto": 3}.get(tuning.loss, 2)
    likely = (summed(values, batch) / batch.counts).view(-1, each)[:, GOOD] * ~batch.own
    if tuning.loss == "sft":
        return -likely.mean(), {}
    sums = deciding(values, batch).view(-1, each)
    moved = line * batch.sides
    if tuning.loss in ("orpo", "simpo"):
        return _without_reference(sums / batch.decided.view(-1, each), likely, moved, tuning)
    pairs = losses.Pairs(sums[:, GOOD] + moved, sums[:, BAD], reference[:, GOOD], reference[:, BAD])
    loss = (
        losses.dpo(pairs, tuning.beta, tuning.smoothing)
        if tuning.loss == "dpo"
        else _kto(sums, reference, tuning)
    )
    total = loss.mean() - tuning.nll * likely.mean()
    return total, _shown(pairs.margin, tuning.beta)


def _without_reference(short: Any, likely: Any, moved: Any, tuning: Tuning) -> tuple[Any, dict[str, float]]:
    good, bad = short[:, GOOD], short[:, BAD]
    if tuning.loss == "orpo":
        loss = losses.orpo(likely, good, bad, tuning.beta)
    else:
        loss = losses.simpo(good + moved, bad, tuning.beta, tuning.gamma)
        loss = loss - tuning.nll * likely
    return loss.mean(), _shown(good - bad, tuning.beta)


def _kto(sums: Any, reference: Any, tuning: Tuning) -> Any:
    import torch

    ratio = sums - reference
    drift = ratio[:, OTHER].mean().detach().clamp(min=0)
    desirable = torch.tensor([True, False], device=sums.device).expand(len(sums), 2)
    return losses.kto(ratio[:, :OTHER], desirable, drift, tuning.beta)


def _shown(margin: Any, beta: float) -> dict[str, float]:
    """Return the reward margin and how often the good reply is preferred."""
    margin = margin.detach()
    return {"margin": float(beta * margin.mean()), "preferred": float((margin > 0).float().mean())}
