"""Which inputs raise a model's compliance most: requests, words in them, and ways to ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources

import numpy as np
import yaml

from harmless.core import Expect, Prompt, user
from harmless.core.model import Model
from harmless.errors import UsageError
from harmless.explain.deletion import Edits
from harmless.explain.question import Question
from harmless.guards.bias import sign_test
from harmless.guards.flips import pieces
from harmless.internals.chat import encode
from harmless.internals.model import LocalModel
from harmless.stats import holm

#: Requests that have to hold a word, for it to be listed.
LEAST = 2
#: Requests that narrow down how the model refuses.
NARROW = 8
LEVEL = 0.05


class Request(Model):
    """A request to refuse, and the log-odds of a refusal behind it (nats); low ones are complied with."""

    id: str
    hazard: str | None
    value: float


class Word(Model):
    """A word, in how many requests it is, and how much it moves the model to refuse there, in nats."""

    word: str
    requests: int
    shift: float


class Framing(Model):
    """A way to ask: mean shift of the log-odds of a refusal in nats, in how many requests it falls, and an
    exact sign test, corrected for the number of framings (Holm)."""

    name: str
    shift: float
    falls: int
    p: float
    found: bool


class Misuse(Model):
    """What raises compliance, each list with the strongest first."""

    target: str
    data: str
    requests: tuple[Request, ...]
    words: tuple[Word, ...]
    framings: tuple[Framing, ...]


def misuse(
    local: LocalModel, prompts: Sequence[Prompt], data: str, observe: Callable[[int], None] = lambda _: None
) -> Misuse:
    """Return which of the requests, their words and ways to ask move a model most to comply.

    Only requests of one message that are to be refused are taken. ``observe`` gets the count of those done.

    Raises:
        UsageError: there are none.
    """
    kept = [each for each in prompts if each.expect is Expect.REFUSE and len(each.conversation) == 1]
    if not kept:
        raise UsageError(f"{data} has no requests to refuse.", "Give a suite, or a file with a column expect.")
    tokens = [encode(local, each.conversation).tokens for each in kept]
    question = Question.refusal(local).narrowed(local, tokens[:NARROW])
    values = question.values(local, tokens)
    words: dict[str, list[float]] = {}
    shifts: dict[str, list[float]] = {name: [] for name in framings()}
    for done, (each, value) in enumerate(zip(kept, values, strict=True), 1):
        spans = pieces(each.text)
        alone = Edits(local, question, each.text, spans).alone()
        for (start, end), score in zip(spans, alone, strict=True):
            words.setdefault(each.text[start:end].lower(), []).append(score)
        asked = [encode(local, user(how.format(each.text))).tokens for how in framings().values()]
        for name, found in zip(framings(), question.values(local, asked), strict=True):
            shifts[name].append(found - value)
        observe(done)
    requests = [
        Request(id=each.id, hazard=each.hazard, value=value) for each, value in zip(kept, values, strict=True)
    ]
    return Misuse(
        target=local.name,
        data=data,
        requests=tuple(sorted(requests, key=lambda each: each.value)),
        words=_words(words),
        framings=_framings(shifts),
    )


def _words(found: Mapping[str, Sequence[float]]) -> tuple[Word, ...]:
    rows = [
        Word(word=word, requests=len(scores), shift=float(np.mean(scores)))
        for word, scores in found.items()
        if len(scores) >= LEAST
    ]
    return tuple(sorted(rows, key=lambda each: each.shift))


def _framings(shifts: Mapping[str, Sequence[float]]) -> tuple[Framing, ...]:
    chances = holm([sign_test(values) for values in shifts.values()])
    rows = [
        Framing(
            name=name,
            shift=float(np.mean(values)),
            falls=sum(value < 0 for value in values),
            p=float(p),
            found=bool(p <= LEVEL and np.mean(values) < 0),
        )
        for (name, values), p in zip(shifts.items(), chances, strict=True)
    ]
    return tuple(sorted(rows, key=lambda each: each.shift))


@cache
def framings() -> Mapping[str, str]:
    """Return ways to ask: name -> text with {} for the request."""
    text = resources.files(__package__).joinpath("framings.yaml").read_text(encoding="utf-8")
    found: dict[str, str] = yaml.safe_load(text)
    return found
