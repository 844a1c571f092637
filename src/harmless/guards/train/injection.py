"""Train the injection head: public injections and jailbreaks, orders of ours in documents, and what resembles
them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmless.data.suites import Suite
from harmless.guards.injection import BITS, WINDOW, rule_scores, views, windows, worst
from harmless.guards.linear import LinearModel, sigmoid
from harmless.guards.train import contamination, own
from harmless.guards.train.fit import How, auroc, even, fit, logistic
from harmless.guards.train.groups import folds, near_duplicates
from harmless.guards.train.rows import Row, Rows, labelled_injections, load

FOLDS = 3
MAX_FALSE_POSITIVES = 0.01
MADE, CHARS, EVERY = 400, 1500, 3
"""Injections made of our orders and documents, and as many documents without; what of a text is learnt; which
share of the harmful requests."""
WEIGHTS = {
    "own": 1.0,
    "deepset/prompt-injections": 1.0,
    "in-the-wild jailbreaks": 1.0,
    "harmful": 0.3,
    "adversarial": 0.5,
}
PARTS = ("ordinary", "own", "harmful", "adversarial")


@dataclass(frozen=True)
class InjectionRows:
    """Texts, whether each is an injection, its part (where it comes from) and its group of near-duplicates."""

    texts: list[str]
    labels: NDArray[np.int64]
    parts: NDArray[np.str_]
    groups: NDArray[np.int64]

    def where(self, part: str, label: int) -> NDArray[np.int64]:
        """Return the row numbers of one part and label."""
        return np.flatnonzero((self.parts == part) & (self.labels == label))


def collect(rows: Rows, tricks: Sequence[Row], seed: int, evaluations: Sequence[Suite] = ()) -> InjectionRows:
    """Return public and own rows; harmful requests without a trick, and plain questions, are no injections.

    Our own rows that are in one of the ``evaluations`` are left out, as :func:`contamination.cleaned` has done
    with the public ones.
    """
    rng = np.random.default_rng(seed)
    ours = made(rng)
    found = [(row.prompt, int(bool(row.unsafe)), row.source) for row in tricks]
    found += [(row.prompt, 0, "ordinary") for row in rows.by_source["benign"]]
    for row in rows.by_source["guard_train"]:
        # WildGuard's harmful rows are half jailbreaks, without a label that says which: neither side.
        if not row.unsafe:
            found.append((row.prompt, 0, "adversarial" if row.source == "WildGuard train" else "ordinary"))
    asked = dict.fromkeys(row.prompt for name in ("harmful", "choices") for row in rows.by_source[name])
    found += [(text, 0, "harmful") for text in list(asked)[::EVERY]]
    written = [Row(row.prompt, unsafe=False, source="ordinary") for row in own.prompts(rng) if not row.unsafe]
    written += [Row(text, unsafe=bool(label), source="own") for text, label, _ in ours]
    found += [(r.prompt, int(bool(r.unsafe)), r.source) for r in contamination.apart(written, evaluations)]
    known = {text: (label, part) for text, label, part in found}
    texts = list(known)
    labels, parts = zip(*known.values(), strict=True)
    told = {text: core for text, _, core in ours}
    return InjectionRows(texts, np.array(labels), np.array(parts), _groups(texts, parts, told))


def made(rng: np.random.Generator) -> list[tuple[str, int, str]]:
    """Return our own rows with label and core: orders alone and in documents; documents, roles and talk
    without.

    The core is what a row is about, an order or a harmless text, without the carrier and the documents around
    it.
    """
    data = own.texts("injection")

    def some(name: str) -> str:
        return str(data[name][int(rng.integers(len(data[name])))])

    def carried(core: str) -> str:
        filled = some("carriers").replace("{d2}", some("documents")).replace("{d}", some("documents"))
        return filled.replace("{o}", core)

    rows = [(text, 1, text) for text in data["orders"]]
    rows += [(text, 0, text) for name in ("documents", "roles", "talk") for text in data[name]]
    for turn in range(MADE):
        core = order = some("orders")
        if rng.random() < 0.7:
            core = some("overrides")
            order = f"{core} {some('acts')}"
        text = carried(order)
        rows.append((text.upper() if turn % 20 == 0 else text, 1, core))
        lead = some(("roles", "talk", "documents")[int(rng.integers(3))])
        rows.append((carried(lead), 0, lead))
    return rows


def _groups(texts: Sequence[str], parts: Sequence[str], told: Mapping[str, str]) -> NDArray[np.int64]:
    """Return groups: tricks with near-duplicate openings, own rows by their core, every other row by itself."""
    groups = np.arange(len(texts)) + len(texts)
    alike = [i for i, part in enumerate(parts) if part not in PARTS]
    groups[alike] = near_duplicates([texts[i][:WINDOW] for i in alike])
    cores = {core: 2 * len(texts) + i for i, core in enumerate(dict.fromkeys(told.values()))}
    for i, text in enumerate(texts):
        if text in told:
            groups[i] = cores[told[text]]
    return groups


def fit_head(data: InjectionRows, index: NDArray[np.int64], seed: int) -> LinearModel:
    """Return the head; long texts that are no injections are also learnt window by window."""
    texts = [data.texts[i][:CHARS] for i in index]
    labels, parts = data.labels[index], data.parts[index]
    weights = np.array([WEIGHTS.get(part, 1.0) for part in parts])
    more, share = [], []
    for text, label, weight in zip(texts, labels, weights, strict=True):
        if not label and len(text) > WINDOW:
            cut = [text[start:end] for start, end in windows(text)[1:]]
            more += cut
            share += [weight * 2 / len(cut)] * len(cut)
    labels = np.concatenate([labels, np.zeros(len(more), np.int64)])
    weights = np.concatenate([weights, share])
    even(weights, labels)
    return fit(views([*texts, *more]), labels, How(("injection",), strength=8.0, bits=BITS, seed=seed), weights)


def out_of_fold(data: InjectionRows, seed: int) -> NDArray[np.float64]:
    """Return the worst score of every text from a head that has not seen its group."""
    fold = folds(data.groups, FOLDS, np.random.default_rng(seed))
    scores = np.zeros(len(data.texts))
    for held in range(FOLDS):
        model = fit_head(data, np.flatnonzero(fold != held), seed)
        test = np.flatnonzero(fold == held)
        scores[test] = worst(model, [data.texts[i] for i in test])[0]
    return scores


def train_injection(
    data: Path | None, seed: int, progress: Callable[[str], None] = lambda step: None
) -> tuple[LinearModel, dict[str, Any], Rows]:
    """Return the head, what its metadata says (combination, threshold, quality), and the rows it was trained
    on."""
    suites = contamination.suites()
    rows = contamination.cleaned(load(data), suites)
    tricks = labelled_injections(data)
    progress(f"seed {seed}: injections, cross-validated")
    known = collect(rows, [row for row in tricks if row.goal != "test"], seed, suites)
    head, rule = out_of_fold(known, seed), rule_scores(known.texts)
    weights, bias = logistic(np.column_stack([head, rule]), known.labels)
    both = head * weights[0] + rule * weights[1] + bias
    plain = (known.labels == 0) & (known.parts != "adversarial")
    least = float(np.quantile(both[plain], 1 - MAX_FALSE_POSITIVES))
    threshold = round(float(sigmoid(np.array([least]))[0]), 3)
    metrics = quality(known, {"head": head, "rules": rule, "both": both}, least)
    progress(f"seed {seed}: injections, final head")
    model = fit_head(known, np.arange(len(known.texts)), seed)
    notes = {"combination": [weights.tolist(), bias], "threshold": threshold}
    return model, notes | {"metrics": metrics}, rows


def quality(data: InjectionRows, signals: dict[str, NDArray[np.float64]], least: float) -> dict[str, float]:
    """Return AUROC and recall at 1 % false positives of every signal, and what the threshold flags of each
    part."""
    plain = (data.labels == 0) & (data.parts != "adversarial")
    tested = plain | (data.labels == 1)
    found = {}
    for name, scores in signals.items():
        found[f"auroc, {name}"] = auroc(data.labels[tested], scores[tested])
        at = float(np.quantile(scores[plain], 1 - MAX_FALSE_POSITIVES))
        found[f"recall at 1 %, {name}"] = float((scores[data.labels == 1] > at).mean())
    for part in np.unique(data.parts):
        for label in (0, 1):
            rows = data.where(str(part), label)
            if len(rows):
                kind = "found" if label else "flagged"
                found[f"{kind}, {part}"] = float((signals["both"][rows] >= least).mean())
    return {name: round(value, 4) for name, value in found.items()}
