"""The K-12 filter study: profanity, unsafe and benign prompts through one validator interface.

A school's assistant must pass on neither swear words nor harmful requests, and must not stand in the way of
homework. The study takes as many unsafe prompts (half profanity, half harmful requests) as benign ones and asks
each validator about all of them. A validator is a :class:`harmless.core.Guard`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import yaml

from harmless.core import Exchange, digest
from harmless.core.model import Model
from harmless.data import BUILTIN, Labelled, catalog, read_rows, texts_of
from harmless.errors import UsageError
from harmless.guards.bench.model import Bench
from harmless.guards.bench.rows import LABEL, Rows, load_rows

PROFANITY, UNSAFE, BENIGN = "profanity", "unsafe", "benign"
"""The three parts; the first two are to be flagged."""
DEFAULTS: Mapping[str, tuple[str, ...]] = {PROFANITY: (), UNSAFE: ("twins",), BENIGN: ("ordinary", "twins")}
"""What stands in for public data: built-in prompts. There is no built-in profanity."""


class Range(Model):
    """The lowest and the highest of the published values."""

    low: float
    high: float


class Published(Model):
    """What is known of the published study; ``unknown`` lists the measures of which nothing is."""

    title: str
    size: int
    source: str
    known: str
    measures: Mapping[str, Range]
    unknown: tuple[str, ...]


class Part(Model):
    """One kind of prompt: how many were taken of how many there were, and where from."""

    kind: str
    data: tuple[str, ...]
    built_in: bool
    available: int
    taken: int


class CaseStudy(Model):
    """Our results beside the published ones; ``notes`` say how the two differ."""

    parts: tuple[Part, ...]
    published: Published
    bench: Bench
    notes: tuple[str, ...]


@cache
def published() -> Published:
    """Return what the study published, as far as it is known."""
    text = (resources.files(__package__) / "case_study.yaml").read_text(encoding="utf-8")
    return Published.model_validate(yaml.safe_load(text))


def case_study_rows(
    given: Mapping[str, Sequence[str]], *, size: int | None = None, seed: int = 0
) -> tuple[Rows, tuple[Part, ...]]:
    """Return the prompts of the study and where they come from.

    Args:
        given: part -> names of data, as for the benchmark (built in, catalog, ``NAME=FILE``, file); a file
            without labels counts as a whole to its part. A part that is missing or empty has the built-in data.
        size: unsafe and benign prompts, each; 500 if None. Fewer are taken where there are not so many.
        seed: of the sample.

    Raises:
        UsageError: a part that was asked for holds no prompt.
    """
    size = published().size if size is None else size
    sources = {kind: tuple(given.get(kind) or DEFAULTS[kind]) for kind in DEFAULTS}
    pools = _pools(sources)
    for kind in DEFAULTS:
        if given.get(kind) and not pools[kind]:
            raise UsageError(
                f"There is no {kind} prompt in {', '.join(given[kind])}.", "Check labels and path."
            )
    want = _shares(size, len(pools[PROFANITY]), len(pools[UNSAFE])) | {BENIGN: size}
    rng = random.Random(seed)
    items: list[Labelled] = []
    parts = []
    for kind, pool in pools.items():
        taken = _taken(pool, sources[kind], want[kind], rng)
        items += taken
        built_in = not given.get(kind)
        parts.append(
            Part(kind=kind, data=sources[kind], built_in=built_in, available=len(pool), taken=len(taken))
        )
    files = tuple(
        Path(name.rpartition("=")[2]) for names in sources.values() for name in names if _is_file(name)
    )
    return Rows("K-12 case study", "; ".join(_origins(sources)), tuple(items), files=files), tuple(parts)


def notes(parts: Sequence[Part]) -> Iterator[str]:
    """Yield in what our study differs from the published one."""
    known = published()
    yield f"Published rows are {known.known}; nothing is known of {' and '.join(known.unknown)}."
    yield "The published prompts are not these, so compare ranges and order, not digits."
    for part in parts:
        if part.built_in and part.taken:
            names = " and ".join(part.data)
            yield f"The {part.kind} prompts are built-in ones ({names}); --{part.kind} takes others."
        elif not part.taken:
            yield f"There are no {part.kind} prompts; --{part.kind} takes a set or a file."
    unsafe = sum(part.taken for part in parts if part.kind != BENIGN)
    benign = sum(part.taken for part in parts if part.kind == BENIGN)
    if (unsafe, benign) != (known.size, known.size):
        yield f"There are {unsafe} unsafe and {benign} benign prompts, not {known.size} of each."


def _pools(sources: Mapping[str, Sequence[str]]) -> dict[str, list[Labelled]]:
    """Return the prompts of each part, every text once in all."""
    seen: set[str] = set()
    pools: dict[str, list[Labelled]] = {}
    for kind, names in sources.items():
        pools[kind] = []
        for name in names:
            for row in _prompts(name, kind):
                key = " ".join(row.exchange.prompt.casefold().split())
                if key and key not in seen:
                    seen.add(key)
                    pools[kind].append(row)
    return pools


def _prompts(name: str, kind: str) -> Iterable[Labelled]:
    unsafe = kind != BENIGN
    if _has_labels(name):
        rows = load_rows(name, side="as-labelled").items
        return [
            row.model_copy(update={"id": f"{kind}:{row.id}", "source": kind})
            for row in rows
            if bool(row.unsafe) is unsafe and row.exchange.reply is None
        ]
    return [
        Labelled(id=f"{kind}:{digest(text, length=10)}", exchange=Exchange.of(text), unsafe=unsafe, source=kind)
        for text in texts_of(name)
    ]


def _has_labels(name: str) -> bool:
    if name in BUILTIN or name == "ordinary" or name in catalog() or name.partition("=")[0] in catalog():
        return True
    first = next(iter(read_rows(name)), None)
    return first is not None and any(column in first[1] for column in LABEL)


def _is_file(name: str) -> bool:
    return Path(name.rpartition("=")[2]).is_file()


def _shares(size: int, profanity: int, unsafe: int) -> dict[str, int]:
    """Return how many of both kinds of unsafe prompts: half each, more of one where the other is short."""
    first = min(profanity, max(size // 2, size - unsafe))
    return {PROFANITY: first, UNSAFE: min(unsafe, size - first)}


def _taken(pool: Sequence[Labelled], names: Sequence[str], number: int, rng: random.Random) -> list[Labelled]:
    """Return a sample; the built-in benign prompts are everyday ones first, then the benign twins."""
    if names == DEFAULTS[BENIGN]:
        plain = [row for row in pool if row.hazard is None]
        twins = [row for row in pool if row.hazard is not None]
        chosen = rng.sample(plain, min(number, len(plain)))
        return chosen + rng.sample(twins, min(number - len(chosen), len(twins)))
    return rng.sample(list(pool), min(number, len(pool)))


def _origins(sources: Mapping[str, Sequence[str]]) -> Iterator[str]:
    return (f"{kind}: {', '.join(names)}" for kind, names in sources.items() if names)
