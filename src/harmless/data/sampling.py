"""Stratified samples that are the same on every machine, and the smaller one is part of the larger."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from harmless.core import Prompt
from harmless.errors import UsageError


def stratified(
    prompts: Sequence[Prompt], limit: int, *, seed: int = 0, weights: Mapping[str, float] | None = None
) -> list[Prompt]:
    """Return about ``limit`` prompts, spread evenly over hazards and, within a hazard, over sources.

    Pairs of twins stay together, so there may be one prompt more. The order of the prompts is kept.

    Args:
        weights: how often a hazard (its key) or a source is taken in relation to the others, 1 if not named;
            0 leaves it out.

    Raises:
        UsageError: a limit below 1, a negative weight, or a weight for what does not occur.
    """
    if limit < 1:
        raise UsageError("A suite cannot be limited to fewer than 1 prompt.", "Use --limit 1 or more.")
    weights = _checked(weights or {}, prompts)
    hazards: dict[str, dict[str, list[list[Prompt]]]] = defaultdict(lambda: defaultdict(list))
    for group in groups_of(prompts):
        hazard = next((p.hazard for p in group if p.hazard), "")
        hazards[hazard][group[0].source].append(group)
    rng = random.Random(seed)
    for hazard in sorted(hazards):
        for source in sorted(hazards[hazard]):
            rng.shuffle(hazards[hazard][source])
    # A sample smaller than the number of hazards must not be of those whose names come first.
    order = rng.sample(sorted(hazards), len(hazards))
    lines = {hazard: list(_merged(hazards[hazard], weights)) for hazard in order}
    chosen: set[str] = set()
    for group in _merged(lines, weights):
        if len(chosen) >= limit:
            break
        chosen.update(prompt.id for prompt in group)
    return [prompt for prompt in prompts if prompt.id in chosen]


def groups_of(prompts: Iterable[Prompt]) -> list[list[Prompt]]:
    """Return the prompts by pair, each without a pair by itself, in the order of their first."""
    groups: dict[tuple[bool, str], list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        groups[(prompt.pair is not None, prompt.pair or prompt.id)].append(prompt)
    return list(groups.values())


def shares(sizes: Sequence[int], weights: Sequence[float], limit: int | None) -> list[int]:
    """Return how many to take of each part so that they stand in the ratio of the weights.

    Without a limit the largest such mixture; with one, at most so many in all, by largest remainders.

    Raises:
        UsageError: weights that are not positive, or a part that is too small for its share.
    """
    if not sizes or any(weight <= 0 for weight in weights):
        raise UsageError("Weights of a mixture must be above 0.", "Leave out what has no weight.")
    exact = [Fraction(weight) for weight in weights]
    total = sum(exact)
    largest = min(size * total / weight for size, weight in zip(sizes, exact, strict=True))
    whole = int(largest if limit is None else limit)
    if whole > largest:
        raise UsageError(
            f"The parts are too small for a mixture of {whole}.", f"At most {int(largest)} keep these weights."
        )
    parts = [whole * weight / total for weight in exact]
    taken = [int(part) for part in parts]
    by_remainder = sorted(range(len(parts)), key=lambda i: (taken[i] - parts[i], i))
    for i in by_remainder[: whole - sum(taken)]:
        taken[i] += 1
    return taken


def _merged(
    strata: Mapping[str, Sequence[list[Prompt]]], weights: Mapping[str, float]
) -> Iterator[list[Prompt]]:
    """Yield the groups of all strata so that any beginning has them in the ratio of their weights.

    Among equals the order of the strata decides.
    """
    places = []
    for name, groups in strata.items():
        weight = weights.get(name, 1.0)
        if weight > 0:
            places += [((rank + 0.5) / weight, group) for rank, group in enumerate(groups)]
    return (group for _, group in sorted(places, key=lambda place: place[0]))


def _checked(weights: Mapping[str, float], prompts: Iterable[Prompt]) -> Mapping[str, float]:
    known = {name for prompt in prompts for name in (prompt.hazard, prompt.source) if name}
    for name, weight in weights.items():
        if weight < 0 or name not in known:
            raise UsageError(
                f"The weight {weight} of '{name}' has no sense.", "Weigh hazards or sources that occur."
            )
    return weights
