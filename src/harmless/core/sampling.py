"""How a target is asked to decode."""

from __future__ import annotations

from pydantic import Field

from harmless.core.model import Model, Text


class Sampling(Model):
    """Decoding parameters; part of every attempt's key.

    ``temperature`` 0 is greedy. ``max_tokens`` limits the reply. ``seed`` is passed on where the target
    knows one. ``system`` is put before the conversation as its system message.
    """

    temperature: float = Field(0.0, ge=0, le=5)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(256, ge=1)
    seed: int = 0
    stop: tuple[str, ...] = ()
    system: Text | None = None
