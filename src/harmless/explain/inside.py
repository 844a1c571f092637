"""What the layers of a model hold of harm, refusal and truth, and what its refusal direction does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harmless.core import Conversation, Expect, Prompt, user
from harmless.core.model import Model
from harmless.errors import UsageError
from harmless.explain.probes import Probed, probe_layers, statements
from harmless.explain.question import Question
from harmless.explain.stealth_weights import compare
from harmless.explain.survey import Survey, survey
from harmless.internals.chat import encode
from harmless.internals.model import LocalModel
from harmless.internals.steering import ablating, adding, difference_in_means

#: Prompts of each kind that narrow down how the model refuses.
NARROW = 8
#: Shares of the depth between which the layer of the direction is chosen.
BETWEEN = (0.3, 0.8)


class Effect(Model):
    """What the model does under an intervention: mean log-odds of a refusal (nats), and the share of prompts
    on which a refusal is likelier than not, on harmful and on benign prompts that the direction has not seen.
    """

    what: str
    harmful: float
    benign: float
    harmful_refused: float
    benign_refused: float


class Direction(Model):
    """The refusal direction: difference in means of harmful and benign prompts at one layer, and what it does.

    ``prompts`` of each kind were asked. A random direction of the same length is the control.
    """

    layer: int
    prompts: int
    effects: tuple[Effect, ...]


class Lens(Model):
    """What the logit lens reads at each layer, from 0: mean log-odds (nats) that a refusal begins, and the
    token that is most often the likeliest, on harmful prompts."""

    harmful: tuple[float, ...]
    benign: tuple[float, ...]
    tokens: tuple[str, ...]


class Changed(Model):
    """What differs from another model, by layer from 1: the relative change of its weights (root mean square
    over its matrices) and of the states behind it (mean over prompts)."""

    against: str
    weights: tuple[float, ...]
    states: tuple[float, ...]


class Inside(Model):
    """What was found inside a model."""

    target: str
    data: str
    layers: int
    probes: tuple[Probed, ...]
    direction: Direction | None = None
    lens: Lens | None = None
    changed: Changed | None = None


def look_inside(
    local: LocalModel,
    prompts: Sequence[Prompt],
    data: str,
    *,
    steered: int = 16,
    against: Callable[[], LocalModel] | None = None,
    observe: Callable[[int], None] = lambda _: None,
) -> Inside:
    """Return probes by layer, the refusal direction with its effects, the lens, and what an alignment changed.

    Args:
        local: the model.
        prompts: harmful ones (to be refused) and benign ones (to be answered); others are left out.
        data: their name.
        steered: harmful and benign prompts on which the direction is tried; 0 leaves it and the lens out.
        against: opens the model that this one was made of.
        observe: gets the count of prompts seen.

    Raises:
        UsageError: there are no harmful or no benign prompts.
    """
    kept = [each for each in prompts if each.expect is not Expect.CHOOSE]
    harmful = np.array([each.expect is Expect.REFUSE for each in kept], bool)
    if not harmful.any() or harmful.all():
        raise UsageError(
            f"{data} needs harmful and benign prompts.", "Give a suite, or a file with a column expect."
        )
    talks = [each.conversation for each in kept]
    question = _question(local, talks, harmful)
    seen = survey(local, talks, question, observe=observe)
    clusters = [each.cluster or each.pair or each.id for each in kept]
    harm = probe_layers("harm", seen.states, harmful.tolist(), clusters)
    refusal = probe_layers("refusal", seen.states, (seen.values > 0).tolist(), clusters)
    direction, lens = None, None
    if steered and harm.best is not None:
        halves = _Halves(seen, harmful, _half(clusters))
        tried = [talks[i] for i in _tried(harmful, ~halves.making, steered)]
        direction = _direction(local, halves, harm, tried, question)
        lens = _lens(local, tried, question) if tried else None
    return Inside(
        target=local.name,
        data=data,
        layers=seen.states.shape[1] - 1,
        probes=(harm, refusal, _truth(local, question)),
        direction=direction,
        lens=lens,
        changed=_changed(local, against(), talks, seen, question) if against else None,
    )


def _question(local: LocalModel, talks: Sequence[Conversation], harmful: NDArray[np.bool_]) -> Question:
    some = [*np.flatnonzero(harmful)[:NARROW], *np.flatnonzero(~harmful)[:NARROW]]
    return Question.refusal(local).narrowed(local, [encode(local, talks[i]).tokens for i in some])


def _truth(local: LocalModel, question: Question) -> Probed:
    texts, true, topics = zip(*statements(), strict=True)
    # Only the states are wanted, so one token of one ending suffices.
    least = replace(question, endings=(question.endings[0][:1],))
    states = survey(local, [user(text) for text in texts], least).states
    return probe_layers("truth", states, true, topics)


def _half(clusters: Sequence[str]) -> NDArray[np.bool_]:
    """Return which rows the direction is made of: those of every other cluster."""
    order = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    return np.array([order[name] % 2 == 0 for name in clusters], bool)


def _tried(harmful: NDArray[np.bool_], free: NDArray[np.bool_], count: int) -> list[int]:
    """Return as many harmful as benign rows among the free ones, the harmful first."""
    sides = [np.flatnonzero(free & side)[:count].tolist() for side in (harmful, ~harmful)]
    least = min(map(len, sides))
    return [*sides[0][:least], *sides[1][:least]]


@dataclass(frozen=True, slots=True)
class _Halves:
    """Which rows of a survey are harmful, and of which the direction is made."""

    seen: Survey
    harmful: NDArray[np.bool_]
    making: NDArray[np.bool_]

    def vector(self, layer: int) -> NDArray[np.float32] | None:
        """Return the direction at a layer; None where a side has no rows."""
        sides = [self.seen.states[self.making & side, layer] for side in (self.harmful, ~self.harmful)]
        return difference_in_means(*sides) if all(map(len, sides)) else None


def _direction(
    local: LocalModel, halves: _Halves, harm: Probed, talks: Sequence[Conversation], question: Question
) -> Direction | None:
    count = halves.seen.states.shape[1] - 1
    middle = range(max(1, round(BETWEEN[0] * count)), max(2, round(BETWEEN[1] * count) + 1))
    layer = max(middle, key=lambda i: harm.auroc[i])
    vector = halves.vector(layer)
    if not talks or vector is None:
        return None
    noise = np.random.default_rng(0).normal(size=len(vector)).astype(np.float32)
    noise *= np.linalg.norm(vector) / np.linalg.norm(noise)
    under: dict[str, AbstractContextManager[None]] = {
        "nothing": nullcontext(),
        "ablated": ablating(local, vector),
        "random ablated": ablating(local, noise),
        "added": adding(local, {layer: vector}),
        "random added": adding(local, {layer: noise}),
    }
    effects = [_effect(local, what, each, talks, question) for what, each in under.items()]
    return Direction(layer=layer, prompts=len(talks) // 2, effects=tuple(effects))


def _effect(
    local: LocalModel,
    what: str,
    under: AbstractContextManager[None],
    talks: Sequence[Conversation],
    question: Question,
) -> Effect:
    with under:
        values = np.array(question.values(local, [encode(local, each).tokens for each in talks]))
    harmful, benign = np.split(values, 2)
    return Effect(
        what=what,
        harmful=float(harmful.mean()),
        benign=float(benign.mean()),
        harmful_refused=float((harmful > 0).mean()),
        benign_refused=float((benign > 0).mean()),
    )


def _lens(local: LocalModel, talks: Sequence[Conversation], question: Question) -> Lens:
    read = survey(local, talks, question, lens=True).lens
    assert read is not None
    odds, tokens = read
    half = len(talks) // 2
    likeliest = [Counter(tokens[:half, i].tolist()).most_common(1)[0][0] for i in range(tokens.shape[1])]
    return Lens(
        harmful=_means(odds[:half]),
        benign=_means(odds[half:]),
        tokens=tuple(local.tokenizer.decode([token]) for token in likeliest),
    )


def _means(values: Iterable[NDArray[np.float64]]) -> tuple[float, ...]:
    found: list[float] = np.mean(list(values), axis=0).tolist()
    return tuple(found)


def _changed(
    local: LocalModel, other: LocalModel, talks: Sequence[Conversation], seen: Survey, question: Question
) -> Changed:
    theirs = survey(other, talks, question).states
    if theirs.shape != seen.states.shape:
        raise UsageError(
            f"{other.name} has other layers than {local.name}.", "Give the model that it was made of."
        )
    moved = np.linalg.norm(seen.states - theirs, axis=-1) / np.maximum(np.linalg.norm(theirs, axis=-1), 1e-9)
    count = theirs.shape[1] - 1
    squares: list[list[float]] = [[] for _ in range(count)]
    # An adapter is merged into its base for this, so it comes last.
    for each in compare(local, other).differences:
        if each.layer is not None and each.layer < count:
            squares[each.layer].append(each.relative**2)
    return Changed(
        against=other.name,
        weights=tuple(float(np.sqrt(np.mean(each))) if each else 0.0 for each in squares),
        states=tuple(float(value) for value in moved.mean(axis=0)[1:]),
    )
