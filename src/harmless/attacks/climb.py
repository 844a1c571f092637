"""Hill climbing over combinations of frames and templates (combination attacks: Wei et al. 2023).

A frame (an e-mail, a lecture, a table ...) or a template is put around the objective, and others around that,
as long as the judge's score of the reply goes up; it needs no model that writes. A reply that is answered but
not harmful is worth more than a refusal: where all replies are refused, that is the way out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from harmless.attacks.contract import AttackInfo, Session, Tried
from harmless.attacks.templates import templates
from harmless.attacks.templates.template import PLACE
from harmless.attacks.transforms.transform import chain, names
from harmless.attacks.writing import whole_numbers
from harmless.core import Message

#: Changes that are tried at the same time, layers at most, rounds without gain before it begins anew.
TOGETHER, MOST, STUCK = 4, 3, 2
_CALLS = 24
#: What a reply that does not refuse is worth beside the judge's score.
_ANSWERED = 0.1

Layers: TypeAlias = tuple[str, ...]
"""Names of what is put around the objective, the innermost first."""


class _Best(NamedTuple):
    layers: Layers
    fitness: float


class Climb:
    """Puts layers around the objective one by one, and keeps what the judge scores higher.

    Args:
        calls: how often the target is asked for one objective.
    """

    def __init__(self, calls: int = _CALLS) -> None:
        self.info = AttackInfo(
            name="climb" if calls == _CALLS else f"climb({calls})",
            family="search",
            calls=calls,
            adaptive=True,
            source="Wei et al. 2023",
        )

    async def run(self, session: Session) -> None:
        """Climb, and begin anew from a single layer where nothing gains any more, or all is refused."""
        forms = _forms(session.random)
        order, seen = sorted(forms), set[Layers]()
        best, stuck = _Best((), 0.0), STUCK
        while True:
            anew = stuck >= STUCK
            offers = changed(() if anew else best.layers, order, session.random, seen)
            # Once all single layers were there, one of them is where it begins.
            offers = offers or changed((session.random.choice(order),), order, session.random, seen)
            if not offers:
                return
            found = max(await _asked(session, offers, forms), key=lambda each: each.fitness)
            if found.fitness and (anew or found.fitness > best.fitness):
                best, stuck = found, 0
            else:
                stuck += 1


def changed(layers: Layers, forms: Sequence[str], rng: random.Random, seen: set[Layers]) -> list[Layers]:
    """Return up to ``TOGETHER`` combinations that are one change away and were not there before.

    A change puts a layer around the others, or another in the place of the outermost or the innermost; ``seen``
    is told of the combinations. Empty once all were there.
    """
    left = [form for form in forms if form not in layers]
    near = [(*layers, form) for form in left] if len(layers) < MOST else []
    if layers:
        near += [(*layers[:-1], form) for form in left] + [(form, *layers[1:]) for form in left]
    new = [each for each in dict.fromkeys(near) if each not in seen]
    chosen = rng.sample(new, min(TOGETHER, len(new)))
    seen.update(chosen)
    return chosen


async def _asked(
    session: Session, offers: Sequence[Layers], forms: dict[str, Callable[[str], str]]
) -> list[_Best]:
    *before, last = session.objective.conversation
    texts = [last.content] * len(offers)
    for i, layers in enumerate(offers):
        for name in layers:
            texts[i] = forms[name](texts[i])
    note = " | ".join(" > ".join(layers) for layers in offers)
    asked = [(*before, Message(role="user", content=text)) for text in texts]
    tried = await session.ask(asked, note=note)
    return [_Best(layers, _fitness(each)) for layers, each in zip(offers, tried, strict=True)]


def _forms(rng: random.Random) -> dict[str, Callable[[str], str]]:
    """Return what can be put around a text: frames that need no decoding, and templates that are one text."""

    def framed(name: str) -> Callable[[str], str]:
        made = chain([name])
        return lambda text: made.instructed(text, rng, reply=False)

    def filled(template: str) -> Callable[[str], str]:
        return lambda text: template.replace(PLACE, text)

    frames = {name: framed(name) for name in names() if _is_frame(name)}
    return frames | {name: filled(each.turns[0]) for name, each in templates().items() if each.is_plain}


def _is_frame(name: str) -> bool:
    (made,) = chain([name]).steps
    return made.frame is not None and not made.told


def _fitness(tried: Tried) -> float:
    return tried.score + _ANSWERED * (tried.refused is False)


def climb(calls: str = str(_CALLS)) -> Climb:
    """Return the attack; UsageError if the argument is not a whole number above 0."""
    return Climb(*whole_numbers("climb", calls=calls))
