"""One training run: rows, heads, thresholds, error rates, artefacts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harmless.data.suites import Suite
from harmless.errors import UsageError
from harmless.guards.linear import FORMAT, LinearModel, describe, pack
from harmless.guards.signals import CONTEXT, NAMES
from harmless.guards.train import contamination, judge, prompt
from harmless.guards.train.groups import close_to
from harmless.guards.train.judge import Replies
from harmless.guards.train.rows import Row, Rows, load


@dataclass(frozen=True)
class TrainReport:
    """What a run wrote and measured.

    ``metrics`` maps a name to one value a seed; ``files`` are the artefacts, ``revisions`` their digests.
    """

    metrics: dict[str, list[float]]
    files: tuple[Path, ...]
    rows: dict[str, int]
    left_out: dict[str, int]

    def summary(self) -> dict[str, tuple[float, float]]:
        """Return mean and standard deviation over the seeds of every metric."""
        return {name: (float(np.mean(v)), float(np.std(v))) for name, v in self.metrics.items()}


def train(
    out: Path,
    *,
    data: Path | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    sample: int | None = None,
    evaluations: Sequence[Path] = (),
    progress: Callable[[str], None] = lambda step: None,
) -> TrainReport:
    """Train the prompt, domain, reply and refusal heads and the judge, and write their artefacts to ``out``.

    All seeds are measured; the models of the one in the middle by the agreement of the judge are written. The
    same data and seeds give the same bytes.

    Args:
        out: folder for ``NAME.npz`` and ``NAME.json``; made if it is missing.
        data: folder with the files that ``sources.yaml`` names, or None to load the sets by their public ids.
        seeds: seeds of folds, constructed rows and solver.
        sample: at most this many rows a source (for tests); None for all.
        evaluations: files with prompts to be measured on, besides the built-in suites: rows that are in there,
            exactly or nearly, are left out.
        progress: called with one line before each step.

    Raises:
        BadFileError: a file of ``data`` is missing or malformed.
        MissingExtraError: scikit-learn, or ``datasets`` when ``data`` is None, is not installed.
        UsageError: no seed, or the data lacks a class that has to be learnt.
    """
    if not seeds:
        raise UsageError("Training needs at least one seed.", "Pass for example --seeds 0 1 2.")
    progress("loading rows")
    suites = contamination.suites(evaluations)
    rows = contamination.cleaned(sampled(load(data), sample), suites)
    for name in ("guard_train", "choices", "replies"):
        if len({row.unsafe for row in rows.by_source[name]}) < 2:
            raise UsageError(f"The source '{name}' holds no pair of safe and unsafe rows.", "Give it by path.")
    runs = [_one(rows, suites, seed, progress) for seed in seeds]
    metrics = {name: [run.metrics[name] for run in runs] for name in runs[0].metrics}
    middle = median(metrics["judge_agreement"])
    kept = runs[middle]
    rows.left_out[contamination.REASON] += kept.left_out
    common = {
        "licence": "Apache-2.0",
        "seeds": list(seeds),
        "seed": seeds[middle],
        "data": {"digests": rows.digests, "licences": rows.licences, "left_out": dict(rows.left_out)},
    }
    progress("writing artefacts")
    out.mkdir(parents=True, exist_ok=True)
    files = [
        path
        for name, model in kept.models.items()
        for path in _write(out, name, model, common | kept.notes[name])
    ]
    measured = {"metrics": {name: [round(v, 4) for v in values] for name, values in metrics.items()}}
    files += _write(out, "judge", None, common | kept.notes["judge"] | measured)
    counts = {name: len(found) for name, found in rows.by_source.items()}
    return TrainReport(metrics, tuple(files), counts, dict(rows.left_out))


def median(values: Sequence[float]) -> int:
    """Return the place of the value in the middle, of two the lower one: what is shipped is no lucky seed."""
    return int(np.argsort(values, kind="stable")[(len(values) - 1) // 2])


@dataclass(frozen=True)
class _Run:
    models: dict[str, LinearModel]
    notes: dict[str, dict[str, Any]]
    metrics: dict[str, float]
    left_out: int


def _one(rows: Rows, suites: Sequence[Suite], seed: int, progress: Callable[[str], None]) -> _Run:
    progress(f"seed {seed}: prompts")
    prompts = prompt.collect(rows, np.random.default_rng(seed), suites)
    calibration, threshold, metrics = prompt.calibrate(prompts, prompt.out_of_fold(prompts, seed))
    harm = prompt.fit_harm(prompts, np.arange(len(prompts.rows)), seed)
    domain, quality = prompt.fit_domains(rows, seed)
    progress(f"seed {seed}: replies, cross-validated by goal and model")
    data = labelled(rows, prompts, harm)
    judged = judge.cross_validate(data, seed)
    rates = judge.by_source(data, judged.risk >= judge.THRESHOLD)
    refused = judge.refusal_agreement(data.rows, judged.classes)
    chat, withheld = ~data.votes, judge.threshold(data, judged.context, prompt.MAX_FALSE_POSITIVES)
    context, even = (
        judge.error_rates(data.labels[chat], judged.context[chat] >= each)
        for each in (withheld, judge.THRESHOLD)
    )
    progress(f"seed {seed}: final heads")
    everything = np.arange(len(data.rows))
    heads = judge.fit_heads(data, everything, seed)
    combination = judge.fit_combination(data, everything, seed)
    metrics |= quality | {
        "judge_agreement": rates["chat"]["agreement"],
        "judge_agreement_with_dialogues": rates["all"]["agreement"],
        "judge_sensitivity": rates["chat"]["sensitivity"],
        "judge_specificity": rates["chat"]["specificity"],
        "refusal_agreement": refused["agreement"],
        "refusal_auroc": refused["auroc"],
        "reply_in_context_agreement": even["agreement"],
    }
    notes = {
        "prompt": {"calibration": calibration, "threshold": threshold},
        "domain": {},
        "ask": {},
        "reply": {
            "context": _named(CONTEXT, combination.context),
            "threshold": withheld,
            "error_rates": context,
        },
        "refusal": {"threshold": judge.THRESHOLD, "error_rates": refused},
        "judge": {
            "signals": _named(NAMES, combination.judge),
            "threshold": judge.THRESHOLD,
            "error_rates": rates,
        },
    }
    models = {
        "prompt": harm,
        "domain": domain,
        "ask": heads.ask,
        "reply": heads.reply,
        "refusal": heads.refusal,
    }
    return _Run(models, notes, metrics, prompts.left_out)


def labelled(rows: Rows, prompts: prompt.PromptRows, model: LinearModel) -> Replies:
    """Return the labelled replies with what trains their heads; questions near their goals are left out."""
    rated = [row for row in rows.by_source["replies"] if row.unsafe is not None]
    goals = sorted({row.goal for row in rated})
    choices = rows.by_source["choices"]
    close = close_to([row.prompt for row in choices], goals)
    further = [row for row, leave in zip(choices, close, strict=True) if not leave]
    short = [text for text in prompts.texts if 15 < len(text) < 300]
    benign = [row.prompt for row in prompts.rows if not row.unsafe and 15 < len(row.prompt) < 400]
    return Replies(rated, further, benign, short, model)


def sampled(rows: Rows, sample: int | None) -> Rows:
    """Return at most ``sample`` rows of every source, spread over it; all if None."""
    if sample is None:
        return rows

    def some(found: list[Row]) -> list[Row]:
        return found[:: max(len(found) // sample, 1)][:sample]

    return replace(rows, by_source={name: some(found) for name, found in rows.by_source.items()})


def _named(names: Sequence[str], fitted: tuple[Any, float]) -> dict[str, float]:
    return {name: float(c) for name, c in zip(names, fitted[0], strict=True)} | {"bias": fitted[1]}


def _write(out: Path, name: str, model: LinearModel | None, notes: Mapping[str, Any]) -> list[Path]:
    described = {"format": FORMAT, "name": name, **notes, **(describe(model) if model else {})}
    metadata = out / f"{name}.json"
    metadata.write_text(json.dumps(described, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if model is None:
        return [metadata]
    arrays = out / f"{name}.npz"
    arrays.write_bytes(pack(model))
    return [arrays, metadata]
