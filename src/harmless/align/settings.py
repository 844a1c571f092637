"""How a model is aligned: method, passes, rates, and what of the model is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, ValidationError

from harmless.core import digest
from harmless.core.model import Model
from harmless.errors import UsageError

Loss: TypeAlias = Literal["sft", "dpo", "orpo", "simpo", "kto"]
Weights: TypeAlias = Literal["lora", "qlora", "full"]


#: Settings that a loss does not look at.
IDLE: Mapping[Loss, frozenset[str]] = {
    "sft": frozenset({"beta", "gamma", "smoothing", "nll", "decision"}),
    "dpo": frozenset({"gamma"}),
    "orpo": frozenset({"gamma", "smoothing", "nll"}),
    "simpo": frozenset({"smoothing"}),
    "kto": frozenset({"gamma", "smoothing"}),
}

#: Hidden states of a small model are narrower.
SMALL = 1024


class Tuning(Model):
    """How the weights are changed.

    Args:
        loss: which loss; see :mod:`harmless.align.losses`.
        weights: train low-rank adapters, the same over a base in 4 bits (on a GPU), or all weights.
        epochs: passes over the examples; fewer if ``minutes`` are over before.
        minutes: wall time of training, which the number of steps is fitted to before it begins.
        rate: peak learning rate (AdamW); None is what suits the model, see :meth:`peak`.
        warm_up: share of the steps in which the rate rises.
        batch: examples a step.
        rank, alpha: of the adapters.
        frozen: share of the layers, from the first on, that get no adapter; on a CPU they run only once.
        beta: how strongly a preference is held to the reference (DPO, KTO), weight of the odds (ORPO), scale
            of the margin (SimPO).
        gamma: margin that SimPO wants.
        smoothing: share of preferences that may be the wrong way round (DPO).
        nll: weight of the good reply's likelihood beside a preference.
        hold: weight of the divergence from the model before, on its own replies to what it is to answer as it
            does, and on texts that it writes when it is asked nothing (:mod:`harmless.align.plain`). It needs
            adapters, which are taken off to see the model before: otherwise, and with 0, own replies are
            imitated.
        decision: preferences look at so many tokens of both replies, counted from where they part, because
            what comes after follows from these; None looks at whole replies.
        opening: three in four good replies are learned up to so many tokens only, since what comes after
            needs fewer examples than the decision does; None learns all of them whole.
        tolerated: share of benign prompts held back that may be refused; DPO and SimPO are trained to a line
            that is moved accordingly. They are twins of harmful prompts, and harder than what users ask.
        longest: prompts of more tokens are left out.
        seed: of the order, and of the adapters' first values.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    loss: Loss = "sft"
    weights: Weights = "lora"
    epochs: float = Field(3.0, gt=0)
    minutes: float | None = Field(None, gt=0)
    rate: float | None = Field(None, gt=0)
    warm_up: float = Field(0.08, ge=0, lt=1)
    batch: int = Field(16, ge=1)
    rank: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    frozen: float = Field(0.0, ge=0, lt=1)
    beta: float = Field(0.1, gt=0)
    gamma: float = 0.5
    smoothing: float = Field(0.0, ge=0, lt=0.5)
    nll: float = Field(0.2, ge=0)
    hold: float = Field(1.0, ge=0)
    decision: int | None = Field(None, ge=1)
    opening: int | None = Field(None, ge=1)
    tolerated: float = Field(0.15, ge=0, le=1)
    longest: int = Field(512, ge=1)
    seed: int = Field(0, ge=0)

    def peak(self, width: int) -> float:
        """Return the learning rate for a model whose hidden states are so wide.

        2e-5 for all weights; for adapters 2e-4 (Dettmers et al. 2023), and 5e-4 where the model is small.
        """
        usual = 2e-5 if self.weights == "full" else 2e-4 if width >= SMALL else 5e-4
        return self.rate or usual

    @property
    def pairs(self) -> bool:
        """Whether both a good and a bad reply are needed."""
        return self.loss != "sft"

    @property
    def reference(self) -> bool:
        """Whether the loss compares with the model before training."""
        return self.loss in ("dpo", "kto")

    @property
    def holds(self) -> bool:
        """Whether what the model says already is held by its divergence."""
        return self.hold > 0 and self.weights != "full"

    @property
    def idle(self) -> frozenset[str]:
        """Which settings have no effect beside the others."""
        adapters = frozenset({"rank", "frozen", "hold"}) if self.weights == "full" else frozenset()
        return IDLE[self.loss] | adapters

    def key(self, data: str, base: str) -> str:
        """Return the digest of a training: these settings, the data and the base; resuming needs the same."""
        return digest(self.model_dump(mode="json"), data, base)


def tuning(settings: Mapping[str, Any]) -> Tuning:
    """Return settings as given by the options of those names.

    Raises:
        UsageError: one is out of range.
    """
    try:
        return Tuning(**settings)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = str(wrong["loc"][0])
        raise UsageError(
            f"--{name} {wrong['input']} is out of range: {wrong['msg'].lower()}.", f"Give another --{name}."
        ) from None
