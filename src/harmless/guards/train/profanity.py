"""Train the profanity head on disguises that we make of our own words; ordinary pieces come from free rows."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmless.guards import disguise
from harmless.guards.disguise import BITS, pieces, readings
from harmless.guards.linear import LinearModel, sigmoid
from harmless.guards.train import contamination, own
from harmless.guards.train.fit import How, auroc, even, fit, logistic
from harmless.guards.train.obfuscate import KINDS
from harmless.guards.train.rows import Rows, load

FOLDS = 3
MAX_FALSE_POSITIVES = 0.02
SINGLE, JOINED, DISGUISED = 8_000, 6_000, 1_000
"""How many ordinary pieces of one run and of several are learnt, and how many words are disguised."""
ALONE, STRENGTH, DAMPING = 1.0, 8.0, 4.0
TEXT_CHARS = 600
VARIANTS = 5
"""Disguises of one kind made of one word."""


@dataclass(frozen=True)
class Words:
    """Profane words by family, and the pieces of ordinary text: those written as one, and those that join
    runs."""

    families: list[list[str]]
    innocent: list[str]
    single: list[str]
    joined: list[str]


@dataclass(frozen=True)
class Split:
    """What one model may see: kinds of disguise, families and innocent words."""

    kinds: list[str]
    families: list[list[str]]
    innocent: list[str]


@dataclass(frozen=True)
class Measured:
    """Scores of the test texts of all folds, by the part they belong to."""

    scores: dict[str, NDArray[np.float64]]

    def recall(self, part: str, negatives: Sequence[str], false_positives: float) -> float:
        """Return the share of ``part`` at or above the threshold that flags that share of the ``negatives``."""
        least = self.threshold(negatives, false_positives)
        return float((self.scores[part] >= least).mean())

    def threshold(self, negatives: Sequence[str], false_positives: float) -> float:
        """Return the score that the share ``false_positives`` reaches; all parts of ``negatives`` weigh the
        same."""
        parts = [np.sort(self.scores[name])[::-1] for name in negatives]
        candidates = np.sort(np.concatenate(parts))
        rates = np.mean([(len(p) - np.searchsorted(p[::-1], candidates)) / len(p) for p in parts], axis=0)
        return float(
            candidates[np.argmax(rates <= false_positives)] if (rates <= false_positives).any() else np.inf
        )


PLAIN_PARTS = ("ordinary", "innocent words", "disguised words")
AMBIGUOUS = "disguised innocent words"
"""Measured apart: ``dck`` may be a duck, and no reader could tell."""
PROFANE_PARTS = ("unseen disguises", "unseen disguises and words", "undisguised")


def collect(rows: Rows) -> Words:
    """Return our words, and the pieces of all rows that hold none of them."""
    data = own.texts("profanity")
    families = [[codecs.decode(word, "rot13") for word in family] for family in data["families"]]
    heard = {readings(word)[1] for family in families for word in family}
    roots = {root for family in families for root in (readings(family[0])[1],) if len(root) > 3}
    single: set[str] = set()
    joined: set[str] = set()
    prompts = dict.fromkeys(row.prompt[:TEXT_CHARS] for found in rows.by_source.values() for row in found)
    for source, doubtful in ((prompts, roots), (data["innocent"], ())):
        for piece in {piece.text for text in source for piece in pieces(text)}:
            sound = readings(piece)[1]
            if sound not in heard and not any(root in sound for root in doubtful):
                (joined if " " in piece else single).add(piece)
    return Words(families, list(data["innocent"]), sorted(single), sorted(joined))


def disguised(words: Iterable[str], kinds: Sequence[str], rng: np.random.Generator, times: int) -> list[str]:
    """Return the piece that stands for each word: as it is, and under every kind, alone and before another."""
    made = []
    for word in words:
        made.append(word)
        for kind in kinds:
            for turn in range(times):
                once = KINDS[kind](word, rng)
                other = KINDS[kinds[int(rng.integers(len(kinds)))]]
                made.append(other(once, rng) if turn == times - 1 and len(once) < 16 else once)
    return [piece for text in made if (piece := whole(text))]


def whole(text: str) -> str:
    """Return the longest piece of a disguised word as the guard cuts it; empty if there is none."""
    return max((piece.text for piece in pieces(text)), key=len, default="")


def fit_head(words: Words, split: Split, seed: int) -> LinearModel:
    """Return the head, fitted on disguised words of both sides and on pieces of ordinary text."""
    rng = np.random.default_rng(seed)
    profane = disguised([w for family in split.families for w in family], split.kinds, rng, VARIANTS)
    single = [words.single[i] for i in rng.permutation(len(words.single))[:SINGLE]]
    harmless = disguised([*some_words(single, DISGUISED, rng), *split.innocent], split.kinds, rng, 1)
    roots = [readings(family[0])[1] for family in split.families]
    alike = [piece for piece in words.joined if any(root in readings(piece)[1] for root in roots)]
    joined = [words.joined[i] for i in rng.permutation(len(words.joined))[:JOINED]]
    known = set(profane)
    benign = [piece for piece in [*single, *harmless, *alike, *joined] if piece not in known]
    plain = [w for family in split.families for w in family], some_words(single, len(single), rng)
    return _fit(profane, benign, plain, seed)


def some_words(pieces: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """Return up to ``count`` of the pieces that are words of four letters or more."""
    found = [piece for piece in pieces if piece.isalpha() and len(piece) > 3]
    return [found[i] for i in rng.permutation(len(found))[:count]]


def measure(words: Words, ordinary: Sequence[str], seed: int) -> Measured:
    """Return the scores of texts whose disguises, and in part whose words, the scoring model has not seen."""
    rng = np.random.default_rng(seed)
    kinds, families = list(rng.permutation(list(KINDS))), list(rng.permutation(len(words.families)))
    innocent = list(rng.permutation(len(words.innocent)))
    carriers = own.texts("profanity")["carriers"]
    found: dict[str, list[float]] = {name: [] for name in (*PLAIN_PARTS, AMBIGUOUS, *PROFANE_PARTS)}
    for fold in range(FOLDS):
        seen = [words.families[i] for n, i in enumerate(families) if n % FOLDS != fold]
        unseen = [words.families[i] for n, i in enumerate(families) if n % FOLDS == fold]
        mild = [words.innocent[i] for n, i in enumerate(innocent) if n % FOLDS != fold]
        held = [words.innocent[i] for n, i in enumerate(innocent) if n % FOLDS == fold]
        new = [kind for n, kind in enumerate(kinds) if n % FOLDS == fold]
        model = fit_head(words, Split([k for k in kinds if k not in new], seen, mild), seed)
        tests = {
            "unseen disguises": _disguise([w for f in seen for w in f], new, rng),
            "unseen disguises and words": _disguise([w for f in unseen for w in f], new, rng),
            "undisguised": [w for f in seen for w in f],
            "innocent words": held,
            "disguised words": _disguise(some_words(words.single[fold::FOLDS], len(held), rng), new, rng),
            "disguised innocent words": _disguise(held, new, rng),
        }
        for name, each in tests.items():
            carried = [carriers[int(rng.integers(len(carriers)))].replace("{w}", word) for word in each]
            found[name] += text_scores(model, carried).tolist()
        found["ordinary"] += text_scores(model, ordinary[fold::FOLDS]).tolist()
    return Measured({name: np.array(each) for name, each in found.items()})


def text_scores(model: LinearModel, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the score of the most profane piece of every text; a text without any gets that of no evidence."""
    cut = [[piece.text for piece in pieces(text)] for text in texts]
    every = disguise.scores(model, [piece for each in cut for piece in each])
    ends = np.cumsum([len(each) for each in cut])[:-1]
    least = float(model.bias[0])
    return np.array([part.max(initial=least) for part in np.split(every, ends)])


def train_profanity(
    data: Path | None, seed: int, progress: Callable[[str], None] = lambda step: None
) -> tuple[LinearModel, dict[str, Any], Rows]:
    """Return the head, what its metadata says (calibration, threshold, quality), and the rows it was trained
    on."""
    rows = contamination.cleaned(load(data), contamination.suites())
    progress(f"seed {seed}: profanity, by kind of disguise")
    words = collect(rows)
    ordinary = [row.prompt for found in load(data, only_measure=True).by_source.values() for row in found]
    measured = measure(words, ordinary or words.single, seed)
    labels = np.concatenate(
        [np.full(len(measured.scores[n]), n in PROFANE_PARTS, np.int64) for n in measured.scores]
    )
    scores = np.concatenate(list(measured.scores.values()))
    slope, bias = logistic(scores[:, None], labels)
    least = measured.threshold(PLAIN_PARTS, MAX_FALSE_POSITIVES)
    threshold = round(float(sigmoid(np.array([least * slope[0] + bias]))[0]), 3)
    metrics = {f"recall, {part}": measured.recall(part, PLAIN_PARTS, 0.02) for part in PROFANE_PARTS}
    metrics |= {
        f"flagged at the threshold, {n}": float((s >= least).mean()) for n, s in measured.scores.items()
    }
    metrics["auroc"] = auroc(labels, scores)
    progress(f"seed {seed}: profanity, all disguises")
    model = fit_head(words, Split(list(KINDS), words.families, words.innocent), seed)
    notes = {"calibration": [float(slope[0]), bias], "threshold": threshold}
    return model, notes | {"metrics": {name: round(v, 4) for name, v in metrics.items()}}, rows


def _disguise(words: Iterable[str], kinds: Sequence[str], rng: np.random.Generator) -> list[str]:
    return [KINDS[kinds[int(rng.integers(len(kinds)))]](word, rng) for word in words for _ in range(VARIANTS)]


def _fit(
    profane: Sequence[str], benign: Sequence[str], plain: Sequence[Sequence[str]], seed: int
) -> LinearModel:
    texts = list(dict.fromkeys([*profane, *benign]))
    known = set(profane)
    read: list[tuple[str, ...]] = [readings(text) for text in texts]
    # Each reading of a plain word has to decide by itself: an unknown disguise leaves only one as it was.
    alone = [
        [
            tuple(r if i == one else "" for i, r in enumerate(readings(word)))
            for word in words
            for one in (1, 2, 3)
        ]
        for words in plain
    ]
    labels = np.array([*(int(text in known) for text in texts), *(1 for _ in alone[0]), *(0 for _ in alone[1])])
    weights = np.ones(len(labels))
    weights[len(texts) :][: len(alone[0])] = ALONE * len(profane) / max(len(alone[0]), 1)
    weights[len(texts) + len(alone[0]) :] = ALONE * len(benign) / max(len(alone[1]), 1)
    even(weights, labels)
    how = How(("profane",), strength=STRENGTH, damping=DAMPING, bits=BITS, seed=seed)
    return fit(disguise.views([*read, *alone[0], *alone[1]]), labels, how, weights)
