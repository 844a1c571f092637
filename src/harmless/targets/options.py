"""How a target is reached and run."""

from __future__ import annotations

from pydantic import Field, model_validator

from harmless.core import Policy
from harmless.core.model import Model


class TargetOptions(Model):
    """Options of all kinds of targets; each kind uses those that concern it. None means what suits the kind.

    Args:
        base_url: address of an OpenAI- or Anthropic-compatible endpoint.
        api_key_env: environment variable that holds the key; the key itself is never an option.
        timeout_s: seconds one reply of an endpoint may take, from the request to its last byte.
        input_price: US dollars for a million tokens that an endpoint is sent.
        output_price: the same for those that it writes; with both, replies carry their cost.
        concurrency: conversations under way at once.
        slots: conversations a local model decodes at once; default ``concurrency``.
        context: tokens of one conversation with its reply, for a local model.
        device: where a local model runs: ``cpu``, ``gpu``, or a device of torch such as ``cuda:1``.
        policy: thresholds, refusal text and what to do with the unassessed, for a guarded target.
    """

    base_url: str | None = None
    api_key_env: str | None = None
    timeout_s: float = Field(120.0, gt=0)
    input_price: float | None = Field(None, ge=0)
    output_price: float | None = Field(None, ge=0)
    concurrency: int | None = Field(None, ge=1)
    slots: int | None = Field(None, ge=1)
    context: int | None = Field(None, ge=1)
    device: str | None = None
    policy: Policy | None = None

    @model_validator(mode="after")
    def _prices_come_together(self) -> TargetOptions:
        if (self.input_price is None) != (self.output_price is None):
            raise ValueError("input_price and output_price come together")
        return self
