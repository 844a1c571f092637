"""Losses of alignment, as functions of log-probabilities; each returns one value a pair or reply.

``good`` and ``bad`` are what the policy gives to both replies of a pair, ``good_ref`` and ``bad_ref`` what the
reference gives: log-probabilities in nats summed over a reply's tokens, or their mean where it says so. All are
torch tensors of the same shape. Checked against TRL in the tests.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Pairs(NamedTuple):
    """Log-probabilities of pairs of replies, summed over tokens, each a tensor of shape (pairs,)."""

    good: Any
    bad: Any
    good_ref: Any
    bad_ref: Any

    @property
    def margin(self) -> Any:
        """How much more the policy prefers the good reply than the reference does, in nats."""
        return (self.good - self.good_ref) - (self.bad - self.bad_ref)


def dpo(pairs: Pairs, beta: float, smoothing: float = 0.0) -> Any:
    """Return the DPO loss (Rafailov et al. 2023), conservative with ``smoothing`` (Mitchell 2023)."""
    from torch.nn.functional import logsigmoid

    h = beta * pairs.margin
    return -(1 - smoothing) * logsigmoid(h) - smoothing * logsigmoid(-h)


def simpo(good: Any, bad: Any, beta: float, gamma: float) -> Any:
    """Return the SimPO loss (Meng et al. 2024) of mean log-probabilities; ``gamma`` is the margin wanted."""
    from torch.nn.functional import logsigmoid

    return -logsigmoid(beta * (good - bad) - gamma)


def orpo(likely: Any, good: Any, bad: Any, weight: float) -> Any:
    """Return the ORPO loss (Hong et al. 2024) of mean log-probabilities: NLL plus the weighted odds ratio.

    Args:
        likely: of the good reply, as far as it is imitated.
        good: of the good reply, as far as the two are compared, and ``bad`` of the bad one.
        weight: of the odds ratio.
    """
    from torch import log1p
    from torch.nn.functional import logsigmoid

    odds = (good - bad) - (log1p(-good.clamp(max=-1e-6).exp()) - log1p(-bad.clamp(max=-1e-6).exp()))
    return -likely - weight * logsigmoid(odds)


def kto(ratio: Any, desirable: Any, drift: Any, beta: float) -> Any:
    """Return the KTO loss (Ethayarajh et al. 2024), with weight 1 for both kinds of replies.

    Args:
        ratio: log-probability under the policy less that under the reference, one a reply.
        desirable: bool, one a reply.
        drift: estimate of the divergence from the reference, at least 0, without gradient.
        beta: how strongly the policy is held to the reference.
    """
    from torch import sigmoid, where

    return where(desirable, 1 - sigmoid(beta * (ratio - drift)), 1 - sigmoid(beta * (drift - ratio)))
