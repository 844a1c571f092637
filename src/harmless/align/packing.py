"""Many prompts with their replies in one sequence, without padding, and what they share only once.

A chat template puts the same words before every prompt, and a preference pair the same prompt before both
replies. They are laid out as a tree: the shared beginning, behind it the prompts, behind each prompt its
replies. A token attends to what stands before it on its own branch only, so the logits are those of separate
sequences, while nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """A prompt and its replies, as tokens; each reply ends with the mark of its end, if it has one.

    ``decided``: in so many tokens of each reply it is decided which one it is; None where all of them count.
    ``side``: 1 where the first reply refuses and the second one answers, -1 where it is the other way round.
    ``own``: the first reply is what the model says already, and is to stay as likely as it is.
    """

    prompt: Tokens
    replies: tuple[Tokens, ...]
    decided: int | None = None
    side: int = 0
    own: bool = False

    @property
    def size(self) -> int:
        """Tokens of the prompt and of all replies."""
        return len(self.prompt) + sum(map(len, self.replies))


@dataclass(frozen=True, slots=True)
class Pack:
    """Trees as one batch of one sequence of n tokens, in torch tensors.

    Attributes:
        tokens: ids, (1, n).
        positions: place of each token on its own branch, (1, n).
        mask: which token (row) attends to which (column), bool (1, 1, n, n).
        places: where each reply token is predicted, (m,).
        targets: the m tokens of the replies.
        replies: to which reply each target belongs, counted over all trees, (m,).
        counts: tokens of each reply.
        decided: tokens of each reply in which it is decided which one it is.
        sides: that of each tree.
        own: of each tree, bool.
    """

    tokens: Any
    positions: Any
    mask: Any
    places: Any
    targets: Any
    replies: Any
    counts: Any
    decided: Any
    sides: Any
    own: Any

    def to(self, device: str) -> Pack:
        """Return the pack on a device."""
        return Pack(*(getattr(self, name).to(device) for name in self.__slots__))


def shared(prompts: Sequence[Tokens]) -> int:
    """Return how many tokens all prompts begin with, at least one token of each left out."""
    first = min(prompts, key=len)
    same = takewhile(lambda i: all(each[i] == first[i] for each in prompts), range(len(first) - 1))
    return sum(1 for _ in same)


class _Layout:
    """Segments behind one another; a segment attends to itself and to its ancestors."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.positions: list[int] = []
        self.segment: list[int] = []
        self.ancestors: list[tuple[int, ...]] = []

    def add(self, tokens: Sequence[int], parent: int | None, depth: int) -> int:
        """Add a segment that begins at place ``depth`` of its branch and return its number."""
        number = len(self.ancestors)
        self.ancestors.append((number, *(self.ancestors[parent] if parent is not None else ())))
        self.tokens += tokens
        self.positions += range(depth, depth + len(tokens))
        self.segment += [number] * len(tokens)
        return number

    def mask(self) -> Any:
        import torch

        seen = torch.zeros(len(self.ancestors), len(self.ancestors), dtype=torch.bool)
        for number, them in enumerate(self.ancestors):
            seen[number, list(them)] = True
        segment = torch.tensor(self.segment)
        return (seen[segment][:, segment]).tril()[None, None]


def pack(trees: Sequence[Tree], common: int | None = None) -> Pack:
    """Return trees as one sequence; their prompts may not be empty.

    ``common`` says how many first tokens of all prompts are laid out once; None is as many as can be.
    """
    import torch

    layout = _Layout()
    common = shared([tree.prompt for tree in trees]) if common is None else common
    root = layout.add(trees[0].prompt[:common], None, 0)
    places: list[int] = []
    targets: list[int] = []
    replies: list[int] = []
    counts: list[int] = []
    decided: list[int] = []
    for tree in trees:
        trunk = layout.add(tree.prompt[common:], root, common)
        end = len(layout.tokens) - 1
        for reply in tree.replies:
            begin = len(layout.tokens)
            # The last token of a reply is predicted, and predicts nothing.
            layout.add(reply[:-1], trunk, len(tree.prompt))
            places += [end, *range(begin, begin + len(reply) - 1)]
            targets += reply
            replies += [len(counts)] * len(reply)
            counts.append(len(reply))
            decided.append(len(reply) if tree.decided is None else min(tree.decided, len(reply)))
    return Pack(
        torch.tensor([layout.tokens]),
        torch.tensor([layout.positions]),
        layout.mask(),
        torch.tensor(places),
        torch.tensor(targets),
        torch.tensor(replies),
        torch.tensor(counts),
        torch.tensor(decided),
        torch.tensor([tree.side for tree in trees]),
        torch.tensor([tree.own for tree in trees]),
    )


def bins(sizes: Sequence[int], room: int) -> list[list[int]]:
    """Return indices in their order, in groups of at most ``room`` tokens and at least one index each."""
    ends, total = [0], 0
    for i, size in enumerate(sizes):
        if total and total + size > room:
            ends.append(i)
            total = 0
        total += size
    ends.append(len(sizes))
    return [list(range(a, b)) for a, b in pairwise(ends) if b > a]
