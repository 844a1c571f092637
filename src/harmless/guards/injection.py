"""``injection``: prompt injections and jailbreaks, in what the user says and in the documents that come with
it.

Not about harm: a harmful question without any trick is no injection, and a harmless one in a jailbreak is. Two
opinions are combined: a linear model over hashed n-grams, and the rules of ``rulebook/injection.yaml``. A
long text
is read as a whole and in windows of whole sentences, because an order that is hidden in a document is short.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from harmless.core import digest
from harmless.core.exchange import Exchange
from harmless.core.protocols import GuardInfo
from harmless.core.verdict import Finding, Outcome, Verdict
from harmless.errors import UsageError
from harmless.guards.batches import judge_each
from harmless.guards.features import Features, hashed
from harmless.guards.linear import Artefact, LinearModel, sigmoid
from harmless.guards.linear import shipped as shipped_artefact
from harmless.guards.rulefile import RULEBOOK
from harmless.guards.rules import Rules, rules

BITS = 17
WINDOW, MOST = 300, 64
"""Characters of a window, and how many windows of a text are read."""

_END = re.compile(r"(?<=[.!?\n:>\]}])\s+")


class InjectionGuard:
    """Judges what goes into the model, whether or not there is a reply: every user message, and with
    ``context`` every system message too, where documents and tool results are put there.

    The score is the calibrated probability of the worst message; the finding is its worst window. Spans are
    those of the last user message; a finding elsewhere has none.
    """

    def __init__(self, artefact: Artefact | None = None, *, context: bool = False) -> None:
        self._given = artefact
        self._roles = ("user", "system") if context else ("user",)

    @cached_property
    def _artefact(self) -> Artefact:
        return self._given or shipped_artefact("injection")

    @property
    def info(self) -> GuardInfo:
        """Name, revision (artefact, rules and what is read) and the threshold."""
        return GuardInfo(
            name="injection" if self._roles == ("user",) else "injection(context)",
            revision=digest(self._artefact.revision, injection_rules().info.revision, self._roles),
            sees="prompt",
            threshold=self._artefact.metadata["threshold"],
            licence=self._artefact.metadata["licence"],
        )

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; never raises for one bad item."""
        return judge_each(exchanges, self._judge)

    def _judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        read = [[m.content for m in each.conversation if m.role in self._roles] for each in exchanges]
        found, at = assess(self._artefact, [text for texts in read for text in texts]), 0
        verdicts = []
        for exchange, texts in zip(exchanges, read, strict=True):
            mine = list(zip(texts, *(part[at : at + len(texts)] for part in found), strict=True))
            at += len(texts)
            verdicts.append(self._verdict(exchange, mine))
        return verdicts

    def _verdict(self, exchange: Exchange, found: Sequence[tuple[str, float, tuple[int, int]]]) -> Verdict:
        text, chance, span = max(found, key=lambda each: each[1], default=("", 0.0, (0, 0)))
        if chance < float(self._artefact.metadata["threshold"]):
            return Verdict(outcome=Outcome.SAFE, score=chance)
        place = span if text == exchange.prompt else None
        finding = Finding(rule="injection", span=place, score=chance)
        excerpt = " ".join(text[slice(*span)].split())[:80]
        return Verdict(
            outcome=Outcome.UNSAFE,
            score=chance,
            findings=(finding,),
            reason=f"tries to steer the model: {excerpt}",
        )


def assess(artefact: Artefact, texts: Sequence[str]) -> tuple[list[float], list[tuple[int, int]]]:
    """Return for each text the probability that it is an injection, and the (start, end) of its worst
    window."""
    heads, spans = worst(artefact.weights, texts)
    weights, bias = artefact.metadata["combination"]
    signals = np.column_stack([heads, rule_scores(texts)])
    return sigmoid(signals @ np.array(weights) + bias).tolist(), spans


def worst(model: LinearModel, texts: Sequence[str]) -> tuple[NDArray[np.float64], list[tuple[int, int]]]:
    """Return the highest linear score of each text over the whole and its windows, and where it is."""
    spans = [windows(text) for text in texts]
    pieces = [text[start:end] for text, each in zip(texts, spans, strict=True) for start, end in each]
    scores = model.scores(views(pieces))[:, 0] if pieces else np.zeros(0)
    ends = np.cumsum([len(each) for each in spans]).astype(int)[:-1]
    parts = np.split(scores, ends)
    best = [int(part.argmax()) if len(part) else 0 for part in parts]
    chosen = [each[i] if each else (0, 0) for each, i in zip(spans, best, strict=True)]
    return np.array([part.max(initial=-np.inf) for part in parts]), chosen


def views(texts: Sequence[str]) -> list[Features]:
    """Return the hashed n-grams that the head looks at."""
    return [hashed(texts, BITS)]


def windows(text: str) -> list[tuple[int, int]]:
    """Return the whole of a text and, if it is longer than one, windows of whole sentences of at most
    ``WINDOW``
    characters (a longer sentence is one by itself), each beginning with the last sentence of the one before."""
    whole = [(0, len(text))]
    if len(text) <= WINDOW:
        return whole
    edges = [0, *(found.end() for found in _END.finditer(text)), len(text)]
    found, first = [], 0
    for last in range(1, len(edges)):
        if last + 1 < len(edges) and edges[last + 1] - edges[first] <= WINDOW:
            continue
        found.append((edges[first], edges[last]))
        first = last - 1 if last - 1 > first else last
    if len(found) > MOST:
        found = [found[i] for i in np.linspace(0, len(found) - 1, MOST).astype(int)]
    return whole + found


def rule_scores(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the score of the gravest rule of injection that matches each text, 0 where none does."""
    found = injection_rules()
    return np.array([max((each.score for each in found.find(text)), default=0.0) for text in texts])


@cache
def injection_rules() -> Rules:
    """Return the guard of the rules of injection alone."""
    return rules(str(RULEBOOK / "injection.yaml"))


def injection(*options: str) -> InjectionGuard:
    """Return the injection guard with the shipped weights; ``injection(context)`` reads system messages too."""
    if set(options) - {"context"}:
        raise UsageError(f"injection does not know '{options[0]}'.", "Write injection or injection(context).")
    return InjectionGuard(context="context" in options)
