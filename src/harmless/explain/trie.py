"""Many prompts with the same endings in one run of the model; what prompts begin with alike is computed once.

Edits of one prompt differ in few words, so most of their tokens are shared. They are laid out as a trie: a
token attends to itself and to what stands before it on its own path, so the states are those of separate runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harmless.internals.forward import last_states, logits
from harmless.internals.model import LocalModel

Tokens = tuple[int, ...]

#: Nodes in one run, on a CPU and on a GPU; attention grows with their square.
ROOM = (384, 2048)


class Trie:
    """Token sequences that share what they begin with; nodes are numbered in the order in which they come."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self._known: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    def add(self, tokens: Sequence[int], at: int = -1) -> list[int]:
        """Add a sequence behind node ``at`` (-1 is the root) and return its nodes."""
        path = []
        for token in tokens:
            node = self._known.get((at, token), len(self.tokens))
            if node == len(self.tokens):
                self._known[at, token] = node
                self.tokens.append(token)
                self.parents.append(at)
                self.depths.append(self.depths[at] + 1 if at >= 0 else 0)
            at = node
            path.append(at)
        return path

    def mask(self) -> Any:
        """Return which node (row) attends to which (column), bool (1, 1, n, n)."""
        import torch

        seen = torch.eye(len(self), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen[None, None]


@dataclass
class Sheaf:
    """Prompts and their endings as one trie.

    ``paths`` holds the nodes of each prompt; ``rows``, ``targets`` and ``cells`` say of each token of
    the endings at which node it is predicted, which it is, and to which prompt and ending it belongs.
    """

    endings: int
    trie: Trie = field(default_factory=Trie)
    members: list[int] = field(default_factory=list)
    paths: list[list[int]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)

    def add(self, member: int, prompt: Tokens, endings: Sequence[Tokens]) -> None:
        """Add a prompt, which ``member`` numbers, with its endings."""
        path = self.trie.add(prompt)
        for number, ending in enumerate(endings):
            # The last token of an ending is predicted, and predicts nothing.
            self.rows += [path[-1], *self.trie.add(ending[:-1], path[-1])]
            self.targets += ending
            self.cells += [len(self.members) * self.endings + number] * len(ending)
        self.members.append(member)
        self.paths.append(path)


def sheaves(prompts: Sequence[Tokens], endings: Sequence[Tokens], room: int) -> Iterator[Sheaf]:
    """Yield the prompts, those that begin alike together, in tries of about ``room`` nodes at most."""
    sheaf = Sheaf(len(endings))
    longest = sum(len(each) - 1 for each in endings)
    before: Tokens = ()
    for member in sorted(range(len(prompts)), key=lambda i: prompts[i]):
        prompt = prompts[member]
        same = next((i for i, (a, b) in enumerate(zip(before, prompt, strict=False)) if a != b), len(before))
        if sheaf.members and len(sheaf.trie) + len(prompt) - same + longest > room:
            yield sheaf
            sheaf = Sheaf(len(endings))
        sheaf.add(member, prompt, endings)
        before = prompt
    if sheaf.members:
        yield sheaf


def room(local: LocalModel) -> int:
    """Return how many nodes one run should have at most."""
    return ROOM[not local.device.startswith("cpu")]


def hidden(local: LocalModel, trie: Trie, tokens: Any = None) -> Any:
    """Return the last hidden states of all nodes, (batch, n, width).

    ``tokens`` are ids of shape (batch, n) in place of the trie's own.
    """
    import torch

    own = torch.tensor([trie.tokens], device=local.device)
    tokens = own if tokens is None else tokens
    positions = torch.tensor([trie.depths], device=local.device).expand(len(tokens), -1)
    mask = trie.mask().to(local.device).expand(len(tokens), -1, -1, -1)
    return last_states(local.model, {"input_ids": tokens}, positions, mask)


def sums(local: LocalModel, sheaf: Sheaf, states: Any) -> Any:
    """Return the log-probability of each ending behind each prompt in nats, (batch, prompts, endings).

    ``states`` are those of :func:`hidden`.
    """
    import torch

    places, back = torch.unique(torch.tensor(sheaf.rows), return_inverse=True)
    given = logits(local.model, states[:, places.to(states.device)])
    values = torch.log_softmax(given, dim=-1)[:, back.to(states.device), sheaf.targets]
    found = values.new_zeros(len(states), len(sheaf.members) * sheaf.endings)
    found = found.index_add(1, torch.tensor(sheaf.cells, device=states.device), values)
    return found.view(len(states), len(sheaf.members), sheaf.endings)


def log_probabilities(local: LocalModel, prompts: Sequence[Tokens], endings: Sequence[Tokens]) -> Any:
    """Return the log-probability of each ending behind each prompt in nats, float32 (prompts, endings)."""
    import torch

    found = torch.zeros(len(prompts), len(endings))
    with torch.inference_mode():
        for sheaf in sheaves(prompts, endings, room(local)):
            found[sheaf.members] = sums(local, sheaf, hidden(local, sheaf.trie))[0].cpu()
    return found
