"""Scan a target for triggers: stealth edits and backdoors, from outside and, where weights are there, inside.

No scan can exclude a trigger that it did not try: what is shown is how much was tried, and an upper limit on
how often a variant of the kinds that were drawn is odd.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harmless import guards
from harmless.core import Sampling, Target
from harmless.core.model import Model
from harmless.errors import UnreachableError
from harmless.explain.stealth_replies import Asked, Sign, ask, odd, same, unlocked
from harmless.explain.stealth_states import spikes
from harmless.explain.stealth_variants import Candidates, variants
from harmless.explain.stealth_weights import Weights, compare, outliers, signs
from harmless.internals.model import LocalModel
from harmless.stats import upper_bound


class Scan(Model):
    """What a scan found, and how much it tried.

    ``limit`` is the upper end of a 95 % interval for the share of odd replies among variants like those tried,
    None if nothing was asked.
    """

    target: str
    reference: str | None = None
    prompts: int = 0
    asked: int = 0
    errors: int = 0
    limit: float | None = None
    signs: tuple[Sign, ...] = ()
    weights: Weights | None = None


@dataclass(frozen=True)
class Trying:
    """What is asked: prompts, their variants, how, and the seed of the typos."""

    prompts: Sequence[str]
    candidates: Candidates
    sampling: Sampling
    seed: int = 0


async def scan_replies(target: Target, trying: Trying, reference: Target | None = None) -> Scan:
    """Ask every variant and look for answers that jump.

    Raises:
        UnreachableError: no reply came.
    """
    grid = [variants(each, trying.candidates, trying.seed) for each in trying.prompts]
    asked = await ask(target, grid, trying.sampling)
    if asked.errors == asked.count:
        raise UnreachableError(f"No reply of {target.info.name} came.", "Check the target, then scan again.")
    theirs = await ask(reference, grid, trying.sampling) if reference else None
    found = [*odd(asked, theirs), *same(asked), *await unlocked(asked, guards.load("refusal"))]
    return Scan(
        target=target.info.name,
        reference=reference.info.name if reference else None,
        prompts=len(grid),
        asked=asked.count,
        errors=asked.errors,
        limit=_limit(asked, found),
        signs=tuple(found),
    )


def scan_inside(local: LocalModel, trying: Trying | None, reference: LocalModel | None = None) -> Scan:
    """Look at weights, against a reference if there is one, and at what single neurons do on the variants."""
    weights = compare(local, reference) if reference else None
    found = [*(signs(weights) if weights else ()), *outliers(local)]
    prompts = trying.prompts if trying else ()
    if trying:
        texts = [each.text for prompt in prompts for each in variants(prompt, trying.candidates, trying.seed)]
        found += spikes(local, texts)
    return Scan(
        target=local.name,
        reference=reference.name if reference else None,
        prompts=len(prompts),
        signs=tuple(found),
        weights=weights,
    )


def _limit(asked: Asked, found: Sequence[Sign]) -> float:
    odd_ones = sum(each.kind == "odd answer" for each in found)
    return upper_bound(odd_ones, asked.count - asked.errors)
