"""Train tier 2: fine-tune the encoder, write it as static int8, fix thresholds on rows that it has not seen."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmless.guards import bert
from harmless.guards.bert import Encoder
from harmless.guards.features import hashed
from harmless.guards.linear import sigmoid
from harmless.guards.signals import LIMIT
from harmless.guards.train import contamination, own, prompt
from harmless.guards.train.finetune import PACKAGE, Examples, Tuned, Tuning, finetune
from harmless.guards.train.fit import auroc, even, logistic
from harmless.guards.train.groups import folds
from harmless.guards.train.prompt import MIXED, PromptRows
from harmless.guards.train.rows import Rows, load
from harmless.guards.train.run import TrainReport, sampled

NAME = "encoder"
FOLDS = 6
LARGE = 100
"""A group with more than one row in ``LARGE`` is trained on: templates, chained by what they share."""
AGAIN, LOWER = 0.25, 3
"""Share of the rows that an earlier encoder has seen that are learnt again, and layers that then stay."""
CALIBRATION = 400
ORDINARY = (own.ORDINARY, "Self-Instruct seeds", "deepset/prompt-injections")
SHORT = 25
SHARE = 0.75
"""Weight of the encoder beside tier 1: with one half, prompts of unseen sources were told apart worse."""
MAX_FALSE_POSITIVES, MAX_SHORT, MAX_PAIRS = 0.02, 0.01, 0.12
"""Largest share flagged of ordinary prompts, of short ones, and of the benign sides of contrast pairs."""
GRID = np.arange(0.1, 0.96, 0.005)


def train(
    out: Path,
    *,
    data: Path | None = None,
    tuning: Tuning | None = None,
    sample: int | None = None,
    evaluations: Sequence[Path] = (),
    start: Path | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> TrainReport:
    """Train the encoder of prompts and write its artefact to ``out``.

    One group of near-duplicates in ``FOLDS`` is set aside; calibration and thresholds come from there. With
    ``start`` an earlier encoder learns the contrast pairs that were added since: see :func:`split`.

    Args:
        out: folder for the files that :func:`harmless.guards.bert.files` names; made if it is missing.
        data: folder with the files that ``sources.yaml`` names, or None to load the sets by their public ids.
        tuning: passes, learning rate and so on; its seed is that of folds and order too.
        sample: at most this many rows a source (for tests); None for all.
        evaluations: files with prompts to be measured on, besides the built-in suites.
        start: folder with the artefact of an earlier run, to go on from it.
        progress: called with one line now and then.

    Raises:
        BadFileError: a file of ``data`` or ``start`` is missing or malformed.
        MissingExtraError: torch, transformers, onnx or scikit-learn is not installed.
        UsageError: the package with the encoder is not installed.
    """
    tuning = tuning or Tuning()
    progress("loading rows")
    suites = contamination.suites(evaluations)
    rows = contamination.cleaned(sampled(load(data), sample), suites)
    rng = np.random.default_rng(tuning.seed)
    prompts = prompt.collect(rows, rng, suites)
    rows.left_out[contamination.REASON] += prompts.left_out
    earlier = bert.read(start, NAME) if start else None
    parts = split(prompts, rng, seen(earlier) if earlier else None)
    tuned = finetune(_examples(parts), tuning, progress, earlier.network if earlier else None)
    progress("quantising")
    made = _graph(tuned, parts.texts(rng.permutation(parts.train)[:CALIBRATION]))
    progress("thresholds")
    notes, metrics = _fitted(parts, made, tuning.seed)
    exact = _graph(tuned, []).scores(parts.texts(parts.test))
    metrics["auroc_float32"] = auroc(parts.labels(parts.test), exact)
    metrics["megabytes"] = round(len(made.network) / 1e6, 2)
    files = _write(out, made, _about(tuned) | notes | _origin(rows, metrics) | _learnt(parts, earlier))
    counts = {name: len(found) for name, found in rows.by_source.items()}
    return TrainReport({k: [v] for k, v in metrics.items()}, files, counts, dict(rows.left_out))


def refit(
    out: Path,
    start: Path,
    *,
    data: Path | None = None,
    seed: int = 0,
    evaluations: Sequence[Path] = (),
    progress: Callable[[str], None] = lambda step: None,
) -> TrainReport:
    """Fit anew how the encoder in ``start`` is averaged with tier 1, and the thresholds; the network stays.

    Wanted after tier 1 has been trained again. Fitted on all rows that share no group with what the encoder has
    learnt, with a stand-in for tier 1 that has learnt all others. Raises as :func:`train`.
    """
    progress("loading rows")
    suites = contamination.suites(evaluations)
    rows = contamination.cleaned(load(data), suites)
    prompts = prompt.collect(rows, np.random.default_rng(seed), suites)
    rows.left_out[contamination.REASON] += prompts.left_out
    made = bert.read(start, NAME)
    progress("thresholds")
    notes, metrics = _fitted(untouched(prompts, made), made, seed)
    kept = {name: made.metadata["metrics"][name] for name in ("auroc_float32", "megabytes")}
    origin = _origin(rows, metrics | kept)
    files = _write(out, made, {**made.metadata, **notes, **origin})
    counts = {name: len(found) for name, found in rows.by_source.items()}
    return TrainReport({k: [v] for k, v in metrics.items()}, files, counts, dict(rows.left_out))


def untouched(prompts: PromptRows, made: Encoder) -> Split:
    """Return the split whose ``test`` are the rows that share no group with what an encoder has learnt."""
    old = np.isin(digests(prompts.texts), seen(made))
    touched = np.isin(prompts.groups, prompts.groups[old])
    return Split(prompts, np.flatnonzero(touched), np.flatnonzero(~touched))


def _chained(groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows are in a group so large that the rows set aside would be of that one kind."""
    _, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(counts[index] > max(len(groups) // LARGE, 1))


@dataclass(frozen=True)
class Split:
    """Rows by number: ``train`` is learnt, ``test`` set aside; what is in neither was learnt before."""

    data: PromptRows
    train: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def known(self) -> NDArray[np.int64]:
        """All rows but ``test``: what a stand-in for tier 1 learns, to be measured with."""
        return np.setdiff1d(np.arange(len(self.data.rows)), self.test)

    def texts(self, index: NDArray[np.int64]) -> list[str]:
        """Return the prompts of the rows ``index``."""
        return [self.data.rows[i].prompt for i in index]

    def labels(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return 1 for those of the rows ``index`` that are harmful."""
        return self.data.labels[index]


def split(prompts: PromptRows, rng: np.random.Generator, before: NDArray[np.uint32] | None = None) -> Split:
    """Return what is trained on, and what is set aside.

    Args:
        before: digests of what an earlier run has seen. Contrast pairs are then learnt, but for a share of
            those whose group is new; so is a share ``AGAIN`` of the other rows that were seen, that they are
            not forgotten. All else that was not seen is set aside.
    """
    groups = prompts.groups
    drawn = (folds(groups, FOLDS, rng) == 0) & ~_chained(groups)
    if before is None:
        return Split(prompts, np.flatnonzero(~drawn), np.flatnonzero(drawn))
    old = np.isin(digests(prompts.texts), before)
    touched, pairs = np.isin(groups, groups[old]), prompts.sources == own.PAIRS
    again = old & (rng.random(len(old)) < AGAIN)
    train, test = np.where(pairs, touched | ~drawn, again), ~touched & (~pairs | drawn)
    return Split(prompts, np.flatnonzero(train), np.flatnonzero(test))


def digests(texts: Sequence[str]) -> NDArray[np.uint32]:
    """Return the (texts,) first four bytes of their SHA-256, which tell texts apart but not what they say."""
    found = b"".join(hashlib.sha256(text.encode()).digest()[:4] for text in texts)
    return np.frombuffer(found, "<u4").astype(np.uint32)


def seen(encoder: Encoder) -> NDArray[np.uint32]:
    """Return the digests of the rows that an encoder was trained on."""
    return np.frombuffer(base64.b64decode(encoder.metadata["seen"]), "<u4").astype(np.uint32)


def _learnt(parts: Split, earlier: Encoder | None) -> dict[str, str]:
    """Return what the metadata say of the rows trained on, in this run and before."""
    learnt = digests(parts.texts(parts.train))
    if earlier:
        learnt = np.union1d(learnt, seen(earlier))
    about = {"seen": base64.b64encode(np.unique(learnt).astype("<u4").tobytes()).decode()}
    return about | ({"start": earlier.revision} if earlier else {})


def _examples(parts: Split) -> Examples:
    """Return the rows to train on; the sides of a contrast pair know each other."""
    sides: dict[str, list[int]] = {}
    for place, row in enumerate(parts.train):
        if parts.data.rows[row].source == own.PAIRS:
            sides.setdefault(parts.data.rows[row].goal, []).append(place)
    partners = np.full(len(parts.train), -1, np.int64)
    for pair in sides.values():
        if len(pair) == 2:
            partners[pair] = pair[::-1]
    return Examples(parts.texts(parts.train), parts.labels(parts.train), _weights(parts), partners)


def _weights(parts: Split) -> NDArray[np.float64]:
    """Return the weights of tier 1, but more of ordinary prompts, of which there are few from elsewhere."""
    labels = parts.labels(parts.train)
    weights = parts.data.weights[parts.train].copy()
    ordinary = np.isin(parts.data.sources[parts.train], ORDINARY) & (labels == 0)
    weights[ordinary] = max(float(weights.max()), 1.0)
    even(weights, labels)
    return weights


def _fitted(parts: Split, made: Encoder, seed: int) -> tuple[dict[str, Any], dict[str, float]]:
    """Return calibration and threshold of the encoder alone and with tier 1, and what was measured."""
    texts, labels = parts.texts(parts.test), parts.labels(parts.test)
    sources = parts.data.sources[parts.test]
    second = made.scores(texts)
    linear = prompt.fit_harm(parts.data, parts.known, seed)
    first = np.clip(linear.scores([hashed(texts)])[:, 0], -LIMIT, LIMIT)
    slopes = [logistic(scores[:, None], labels) for scores in (second, first)]
    (a, a0), (b, b0) = ((float(slope[0]), bias) for slope, bias in slopes)
    rest = 1 - SHARE
    alone = {"encoder": a, "bias": a0}
    both = {"encoder": SHARE * a, "prompt": rest * b, "bias": SHARE * a0 + rest * b0}
    short = np.array([len(text) <= SHORT for text in texts]) & (sources == own.ORDINARY)
    metrics = {"auroc_int8": auroc(labels, second)}
    for name, fitted, total in (
        ("tier1", {}, b * first + b0),
        ("alone", alone, a * second + a0),
        ("both", both, SHARE * (a * second + a0) + rest * (b * first + b0)),
    ):
        fitted["threshold"], found = chosen(sigmoid(total), labels, sources, short)
        metrics |= {f"{name}_{metric}": value for metric, value in found.items()}
    return {"alone": alone, "both": both}, metrics


def chosen(
    chance: NDArray[np.float64],
    labels: NDArray[np.int64],
    sources: NDArray[np.str_],
    short: NDArray[np.bool_],
) -> tuple[float, dict[str, float]]:
    """Return the threshold, and what it gives.

    It is the one with the best F1, averaged over the mixed sets, among those that flag at most
    ``MAX_FALSE_POSITIVES`` of the ordinary benign rows, ``MAX_SHORT`` of the short ones and ``MAX_PAIRS`` of
    the benign sides of contrast pairs.

    Args:
        chance: (rows,) probabilities of harm from a model that has not seen the rows.
        labels: (rows,) 1 where harmful.
        sources: (rows,) where they come from.
        short: (rows,) whether they are short phrases, of at most ``SHORT`` characters.
    """
    ordinary = np.isin(sources, ORDINARY) & (labels == 0)
    harmless = (sources == own.PAIRS) & (labels == 0)
    limits = ((ordinary, MAX_FALSE_POSITIVES), (ordinary & short, MAX_SHORT), (harmless, MAX_PAIRS))
    mixed = [sources == name for name in MIXED if (sources == name).any()]

    def flagged(rows: NDArray[np.bool_], least: float) -> float:
        return float((chance[rows] >= least).mean()) if rows.any() else 0.0

    def f1(least: float) -> float:
        return float(np.mean([prompt.f1(labels[rows], chance[rows] >= least) for rows in mixed] or [0.0]))

    allowed = [least for least in GRID if all(flagged(rows, least) <= most for rows, most in limits)]
    best = round(float(max(allowed or GRID[-1:], key=f1)), 3)
    plain = ~np.isin(sources, MIXED) & (labels == 1)
    found = {"f1_mixed": f1(best), "false_positives": flagged(ordinary, best)}
    found |= {"false_positives_short": flagged(ordinary & short, best), "recall_plain": flagged(plain, best)}
    found["false_positives_pairs"] = flagged(harmless, best)
    found["recall_pairs"] = flagged((sources == own.PAIRS) & (labels == 1), best)
    names = [name for name in MIXED if len(set(labels[sources == name])) == 2]
    found |= {f"auroc_{name}": auroc(labels[sources == name], chance[sources == name]) for name in names}
    return best, found


def _about(tuned: Tuned) -> dict[str, Any]:
    return {
        "format": bert.FORMAT,
        "name": NAME,
        "licence": "Apache-2.0",
        "base": f"all-MiniLM-L6-v2 (Apache-2.0) as in {PACKAGE}",
        "longest": tuned.tuning.longest,
        "tuning": asdict(tuned.tuning),
    }


def _origin(rows: Rows, metrics: Mapping[str, float]) -> dict[str, Any]:
    return {
        "data": {"digests": rows.digests, "licences": rows.licences, "left_out": dict(rows.left_out)},
        "metrics": {name: round(value, 4) for name, value in metrics.items()},
    }


def _graph(tuned: Tuned, calibration: Sequence[str]) -> Encoder:
    """Return the tuned network as the guard runs it; in float32 without texts to calibrate on."""
    tokens, about = _tokens(tuned), json.dumps(_about(tuned)).encode()
    return bert.parse(NAME, tuned.onnx(calibration), tokens, about)


def _tokens(tuned: Tuned) -> bytes:
    return f"{tuned.tokenizer.to_str()}\n".encode()


def _write(out: Path, made: Encoder, metadata: Mapping[str, Any]) -> tuple[Path, ...]:
    out.mkdir(parents=True, exist_ok=True)
    described = json.dumps(metadata, indent=1, sort_keys=True) + "\n"
    paths = tuple(out / name for name in bert.files(NAME))
    for path, content in zip(paths, (made.network, made.tokens, described.encode()), strict=True):
        path.write_bytes(content)
    return paths
