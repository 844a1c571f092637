"""Train and development, with no near-duplicate and no pair on both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from harmless.align.drafts import Draft
from harmless.align.examples import Example
from harmless.errors import MissingExtraError
from harmless.guards.train.groups import near_duplicates

Each = TypeVar("Each", bound=Draft | Example)


def split(examples: Sequence[Each], share: float, seed: int = 0) -> tuple[list[Each], list[Each]]:
    """Return the examples to train on, and about ``share`` of them to develop on.

    Groups of near-duplicate prompts, and of the two sides of a pair, are kept together; none is cut.

    Raises:
        MissingExtraError: scipy, which finds the groups, is not installed.
    """
    names = _groups(examples)
    order = list(dict.fromkeys(names))
    np.random.default_rng(seed).shuffle(order)
    sizes = Counter(names)
    held: set[int] = set()
    room = round(share * len(examples))
    for name in order:
        if sizes[name] <= room:
            held.add(name)
            room -= sizes[name]
    parts: tuple[list[Each], list[Each]] = ([], [])
    for example, name in zip(examples, names, strict=True):
        parts[name in held].append(example)
    return parts


def _groups(examples: Sequence[Draft | Example]) -> list[int]:
    """Return a group number for each example: near-duplicates joined with pairs."""
    try:
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components
    except ImportError:
        raise MissingExtraError("Splitting by near-duplicates", "train") from None
    alike = near_duplicates([example.text for example in examples])
    numbers = {name: i for i, name in enumerate(dict.fromkeys(e.pair for e in examples if e.pair))}
    offset = len(numbers)
    edges = [(numbers[e.pair], offset + int(alike[i])) for i, e in enumerate(examples) if e.pair]
    size = offset + int(alike.max(initial=-1)) + 1
    rows, columns = zip(*edges, strict=True) if edges else ((), ())
    table = coo_matrix((np.ones(len(edges)), (rows, columns)), shape=(size, size))
    joined = connected_components(table, directed=False)[1]
    return [int(joined[offset + int(group)]) for group in alike]
