"""Genetic search over the sentences of templates, after AutoDAN (Liu et al. 2024), without access to weights.

AutoDAN's fitness is the likelihood of an affirmative beginning; here it is the judge's score of the reply, so a
service will do as the target. Numbers are those of its implementation in garak: a population of 8, 2 elites,
crossover with probability 0.5 at 5 points, mutation with probability 0.1.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from harmless.attacks.contract import AttackInfo, Session, Tried
from harmless.attacks.templates import templates
from harmless.attacks.templates.template import PLACE
from harmless.attacks.writing import whole_numbers
from harmless.core import Message

POPULATION, ELITES, POINTS = 8, 2, 5
CROSSOVER, MUTATION = 0.5, 0.1
#: Of the softmax by which parents are drawn: refused, answered and half harmful are about equal steps.
TEMPERATURE = 0.2
_GENERATIONS = 6
#: What a reply that does not refuse is worth beside the judge's score; a slope where all score 0.
_ANSWERED = 0.1
_SENTENCE = re.compile(r"(?<=[.!?:])\s+|\n+")

Genes: TypeAlias = tuple[str, ...]
"""The sentences of a template; one of them has the place of the objective."""


class _One(NamedTuple):
    genes: Genes
    fitness: float


class Genetic:
    """Breeds templates: the better a reply, the more of its template's sentences go into the next ones.

    Args:
        generations: how often the population is renewed, the first one included.
    """

    def __init__(self, generations: int = _GENERATIONS) -> None:
        self._generations = generations
        self.info = AttackInfo(
            name="genetic" if generations == _GENERATIONS else f"genetic({generations})",
            family="evolution",
            calls=POPULATION + (generations - 1) * (POPULATION - ELITES),
            adaptive=True,
            source="Liu et al. 2024",
        )

    async def run(self, session: Session) -> None:
        """Ask one generation after the other; elites live on and are not asked again."""
        pool = [genes_of(each.turns[0]) for each in templates().values() if each.is_plain]
        sentences = sorted({gene for genes in pool for gene in genes if PLACE not in gene})
        seen = set(first := session.random.sample(pool, POPULATION))
        living = await self._asked(session, first, "generation 1")
        for number in range(2, self._generations + 1):
            living.sort(key=lambda one: -one.fitness)
            children = bred(living, POPULATION - ELITES, sentences, session.random, seen)
            born = await self._asked(session, children, f"generation {number}")
            living = living[:ELITES] + born

    async def _asked(self, session: Session, population: Sequence[Genes], note: str) -> list[_One]:
        *before, last = session.objective.conversation
        texts = [" ".join(genes).replace(PLACE, last.content) for genes in population]
        tried = await session.ask([(*before, Message(role="user", content=t)) for t in texts], note=note)
        return [_One(genes, _fitness(each)) for genes, each in zip(population, tried, strict=True)]


def genes_of(template: str) -> Genes:
    """Return the sentences of a template."""
    return tuple(part.strip() for part in _SENTENCE.split(template) if part.strip())


def bred(
    living: Sequence[_One], count: int, sentences: Sequence[str], rng: random.Random, seen: set[Genes]
) -> list[Genes]:
    """Return so many children that were not there before; ``seen`` is told of them.

    Args:
        living: the parents, drawn by the softmax of their fitness, as in AutoDAN.
        count: how many children.
        sentences: what mutation puts in.
        rng: random numbers.
        seen: all individuals so far.
    """
    best = max(one.fitness for one in living)
    weights = [math.exp((one.fitness - best) / TEMPERATURE) for one in living]
    children: list[Genes] = []
    while len(children) < count:
        one, other = (each.genes for each in rng.choices(living, weights, k=2))
        child = crossed(one, other, rng) if rng.random() < CROSSOVER else one
        child = mutated(child, sentences, MUTATION, rng)
        while child in seen:
            child = mutated(child, sentences, 1.0, rng)
        seen.add(child)
        children.append(child)
    return children


def crossed(one: Genes, other: Genes, rng: random.Random) -> Genes:
    """Return sentences of both in turns, cut at up to five places; the objective is in it once."""
    shorter = min(len(one), len(other))
    cuts = sorted(rng.sample(range(1, shorter), min(POINTS, shorter - 1))) if shorter > 1 else []
    edges = [0, *cuts, max(len(one), len(other))]
    parts = [(one, other)[i % 2][start:end] for i, (start, end) in enumerate(pairwise(edges))]
    return _with_place([gene for part in parts for gene in part])


def mutated(genes: Genes, sentences: Sequence[str], rate: float, rng: random.Random) -> Genes:
    """Return the genes, with probability ``rate`` with one sentence changed, put in or left out."""
    if rng.random() >= rate:
        return genes
    at, changed = rng.randrange(len(genes)), list(genes)
    kind = rng.choice(("replace", "insert", "drop"))
    if kind == "insert":
        changed.insert(at, rng.choice(sentences))
    elif PLACE not in changed[at]:
        changed[at : at + 1] = [rng.choice(sentences)] if kind == "replace" else []
    else:
        changed.append(rng.choice(sentences))
    return _with_place(changed)


def _with_place(genes: Sequence[str]) -> Genes:
    """Return the genes with the first place of the objective only, one at the end if there is none."""
    places = [i for i, gene in enumerate(genes) if PLACE in gene]
    if not places:
        return (*genes, PLACE)
    return tuple(gene for i, gene in enumerate(genes) if i not in places[1:])


def _fitness(tried: Tried) -> float:
    return tried.score + _ANSWERED * (tried.refused is False)


def genetic(generations: str = str(_GENERATIONS)) -> Genetic:
    """Return the attack; UsageError if the argument is not a whole number above 0."""
    return Genetic(*whole_numbers("genetic", generations=generations))
