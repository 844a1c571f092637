"""Where a model treats groups differently: how much each exchange of identity terms moves it to refuse.

The same prompt with another group in it is asked; all else is equal, so a difference comes from the term. By
layer it is seen where the two prompts part, and where that reaches what the model is about to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harmless.core import user
from harmless.core.model import Model
from harmless.errors import UsageError
from harmless.explain.question import Question
from harmless.explain.survey import survey
from harmless.guards.bias import Swap, group_of, sign_test, swaps
from harmless.internals.chat import encode
from harmless.internals.model import LocalModel
from harmless.stats import holm

#: Prompts of a group below which nothing is tested: no sign test could be significant after Holm.
LEAST = 10
#: Prompts that narrow down how the model refuses.
NARROW = 8
LEVEL = 0.05


class Pair(Model):
    """A prompt, the same with its terms exchanged, and the log-odds of a refusal (nats) behind each."""

    axis: str
    term: str
    other: str
    text: str
    swapped: str
    before: float
    after: float

    @property
    def shift(self) -> float:
        """How much the exchange moves the model to refuse."""
        return self.after - self.before


class Axis(Model):
    """The exchanges of one axis, and the mean size of the shift in nats."""

    axis: str
    pairs: int
    size: float


class Group(Model):
    """What naming a group does in place of others: mean shift of the log-odds of a refusal in nats, and an
    exact sign test over the prompts, corrected for the number of groups (Holm)."""

    axis: str
    group: str
    prompts: int
    shift: float
    p: float | None
    found: bool


class Sources(Model):
    """Shifts by axis, group and prompt, the largest first, and by layer from 0.

    ``parted`` is the mean relative distance of the states of the two prompts of a pair, ``said`` the mean size
    of the shift that the logit lens reads.
    """

    target: str
    axes: tuple[Axis, ...]
    groups: tuple[Group, ...]
    pairs: tuple[Pair, ...]
    parted: tuple[float, ...]
    said: tuple[float, ...]


def bias_sources(local: LocalModel, texts: Sequence[str]) -> Sources:
    """Return how identity terms in prompts move a model to refuse, and at which layers.

    Raises:
        UsageError: no prompt names a group.
    """
    found = [(text, swap) for text in texts for swap in swaps(text)]
    if not found:
        raise UsageError("No prompt names a group that has another.", "Name one, such as woman or Muslim.")
    every = list(dict.fromkeys([*(text for text, _ in found), *(swap.text for _, swap in found)]))
    prompts = [encode(local, user(text)).tokens for text in every[:NARROW]]
    question = Question.refusal(local).narrowed(local, prompts)
    seen = survey(local, [user(text) for text in every], question, lens=True)
    row = {text: i for i, text in enumerate(every)}
    one = [row[text] for text, _ in found]
    two = [row[swap.text] for _, swap in found]
    pairs = [_pair(text, swap, seen.values[row[text]], seen.values[row[swap.text]]) for text, swap in found]
    apart = np.linalg.norm(seen.states[two] - seen.states[one], axis=-1)
    assert seen.lens is not None
    said = np.abs(seen.lens[0][two] - seen.lens[0][one]).mean(axis=0)
    relative = apart / np.maximum(np.linalg.norm(seen.states[one], axis=-1), 1e-9)
    return Sources(
        target=local.name,
        axes=_axes(pairs),
        groups=_groups(pairs),
        pairs=tuple(sorted(pairs, key=lambda each: -abs(each.shift))),
        parted=tuple(relative.mean(axis=0).tolist()),
        said=tuple(said.tolist()),
    )


def _pair(text: str, swap: Swap, before: float, after: float) -> Pair:
    return Pair(
        axis=swap.axis,
        term=swap.term.lower(),
        other=swap.other.lower(),
        text=text,
        swapped=swap.text,
        before=float(before),
        after=float(after),
    )


def _axes(pairs: Sequence[Pair]) -> tuple[Axis, ...]:
    groups: dict[str, list[float]] = {}
    for each in pairs:
        groups.setdefault(each.axis, []).append(abs(each.shift))
    rows = [Axis(axis=name, pairs=len(sizes), size=float(np.mean(sizes))) for name, sizes in groups.items()]
    return tuple(sorted(rows, key=lambda each: -each.size))


def _groups(pairs: Sequence[Pair]) -> tuple[Group, ...]:
    """Return what each group does; an exchange is seen from both of its groups."""
    shifts: dict[tuple[str, str], dict[str, list[float]]] = {}
    for each in pairs:
        for term, shift in ((each.other, each.shift), (each.term, -each.shift)):
            shifts.setdefault((each.axis, group_of(each.axis, term)), {}).setdefault(each.text, []).append(
                shift
            )
    means = {key: [float(np.mean(values)) for values in of.values()] for key, of in shifts.items()}
    tested = [key for key, values in means.items() if len(values) >= LEAST]
    chances = dict(zip(tested, holm([sign_test(means[key]) for key in tested]), strict=True)) if tested else {}
    rows = [
        Group(
            axis=key[0],
            group=key[1],
            prompts=len(values),
            shift=float(np.mean(values)),
            p=float(chances[key]) if key in chances else None,
            found=bool(chances.get(key, 1.0) <= LEVEL),
        )
        for key, values in means.items()
    ]
    return tuple(sorted(rows, key=lambda each: -abs(each.shift)))
