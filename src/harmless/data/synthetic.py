"""What marks a prompt that a model wrote, so that it is never taken for one that people wrote."""

from __future__ import annotations

from collections.abc import Iterable

from harmless.core import Prompt

#: The ``source`` of prompts that a model wrote.
SYNTHETIC = "synthetic"

#: What a synthetic pair says of where it comes from: model and revision, digest of the template, seed, number
#: of the request, ids of the pairs that were its examples, day.
LINEAGE = ("generator", "revision", "template", "seed", "attempt", "parents", "date")


def synthetic(prompts: Iterable[Prompt]) -> int:
    """Return how many of the prompts a model wrote."""
    return sum(prompt.source == SYNTHETIC for prompt in prompts)
