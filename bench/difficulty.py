"""How difficult each pair of twins is for the bundled model: how likely each side goes wrong.

    OMP_NUM_THREADS=1 python bench/difficulty.py --workspace FOLDER [--samples 4] [--ask no] [--limit N]

Asks every twin once greedily and ``--samples`` times with temperature 0.7, and writes
``src/harmless/data/builtin/difficulty.json``: for each pair the mean of the judge's risk over the replies to
the harmful side, and of the refusal guard's probability of a refusal over those to the benign side, with model,
sampling, judges and date. The runs are in the workspace, and the same command goes on with them. ``--ask no``
takes what is there; of a run that was cut off, the rounds count that asked all pairs. ``--limit`` asks a few
and writes nothing. Prints how well one half of the samples agrees with the other.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import anyio
import numpy as np

import harmless
from harmless.check.observed import Row, observe
from harmless.core import Expect
from harmless.data import load_suite
from harmless.data.difficulty import FILE, text_digest
from harmless.data.twins import pairs_of_twins
from harmless.evidence import RunRecord, Store

#: Greedy, as ``harmless check`` asks by default, and the sampled ones.
GREEDY, SAMPLED = (harmless.Sampling(temperature=t, max_tokens=64) for t in (0.0, 0.7))


async def ask(store: Store, samples: int, limit: int | None) -> None:
    """Ask the bundled model all twins."""
    suite = load_suite("twins")
    suite = suite if limit is None else suite.limited(limit)
    policy = harmless.load_policy()
    target = harmless.load_target("embedded")
    try:
        judges = harmless.load_judges("judge", policy)
        for sampling, times in ((GREEDY, 1), (SAMPLED, samples)):
            options = harmless.CheckOptions(sampling=sampling, samples=times)
            await harmless.run_check(target, suite, policy, store, judges, options)
    finally:
        await target.aclose()


def rounds_of(store: Store, run: RunRecord) -> list[list[Row]]:
    """Return the attempts of a run, a list a sample; samples that not every prompt has are left out."""
    rows, prompts = observe(store, run).rows, len(store.prompts(run.id))
    rounds: dict[int, list[Row]] = {}
    for (_, sample), row in sorted(rows.items()):
        rounds.setdefault(sample, []).append(row)
    return [rounds[sample] for sample in sorted(rounds) if len(rounds[sample]) == prompts]


def wrong(row: Row) -> float | None:
    """Return how likely a reply went wrong by its judge, None if it could not be assessed."""
    if row.event is None:
        return None
    if row.prompt.expect is Expect.REFUSE:
        return row.verdicts["harm"].score
    return row.verdicts["refusal"].labels.get("refusal")


def by_pair(rows: Iterable[Row]) -> dict[str, dict[str, list[float]]]:
    """Return what :func:`wrong` says of both sides of each pair."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        sides = found.setdefault(str(row.prompt.pair), {"harmful": [], "benign": []})
        if (value := wrong(row)) is not None:
            sides["harmful" if row.prompt.expect is Expect.REFUSE else "benign"].append(value)
    return found


def agreement(rounds: Sequence[list[Row]], side: Literal["harmful", "benign"]) -> float | None:
    """Return the correlation over pairs of the mean of every second sample with that of the others."""
    halves = [by_pair(row for each in rounds[half::2] for row in each) for half in (0, 1)]
    both = [[np.mean(half[pair][side]) for half in halves] for pair in halves[0] if pair in halves[1]]
    values = np.array([pair for pair in both if not np.isnan(pair).any()]).reshape(-1, 2)
    return float(np.corrcoef(values.T)[0, 1]) if len(values) > 2 and values.std(axis=0).all() else None


def document(runs: Sequence[RunRecord], rounds: Sequence[Sequence[list[Row]]]) -> dict[str, Any]:
    """Return what is written: provenance, then the figures of each pair."""
    first, found = runs[0], by_pair(row for run in rounds for each in run for row in each)
    pairs = {}
    for pair in pairs_of_twins():
        sides = found.get(pair["id"])
        if sides and all(sides.values()):
            means = {side: round(float(np.mean(values)), 3) for side, values in sides.items()}
            counts = [len(values) for values in sides.values()]
            pairs[pair["id"]] = {"text": text_digest(pair), **means, "assessed": counts}
    return {
        "model": {"name": first.target.name, "revision": first.target.revision},
        "judges": {role: guard.revision for role, guard in first.guards.items()},
        "samples": [
            {"temperature": run.sampling.temperature, "max_tokens": run.sampling.max_tokens, "times": len(each)}
            for run, each in zip(runs, rounds, strict=True)
            if each
        ],
        "date": max(run.created_at for run in runs)[:10],
        "pairs": pairs,
    }


def written(found: dict[str, Any]) -> str:
    """Return the document as JSON, a pair a line."""
    head = {key: value for key, value in found.items() if key != "pairs"}
    pairs = ",\n".join(f"  {json.dumps(pair)}: {json.dumps(each)}" for pair, each in found["pairs"].items())
    return json.dumps(head, indent=1)[:-2] + f',\n "pairs": {{\n{pairs}\n }}\n}}\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--ask", choices=("yes", "no"), default="yes")
    given = parser.parse_args()
    with Store(given.workspace / "evidence.db") as store:
        if given.ask == "yes":
            anyio.run(ask, store, given.samples, given.limit)
        wanted = [GREEDY, SAMPLED]
        runs = [run for sampling in wanted for run in store.runs() if run.sampling == sampling]
        rounds = [rounds_of(store, run) for run in runs]
    found = document(runs, rounds)
    every = [each for run in rounds for each in run]
    for side in ("harmful", "benign"):
        mean = np.mean([pair[side] for pair in found["pairs"].values()])
        print(
            f"{side}: mean {mean:.3f}, one half of the samples against the other r = {agreement(every, side)}"
        )
    print(f"{len(found['pairs'])} pairs, {len(every)} samples a side")
    if given.limit is None:
        FILE.write_text(written(found), encoding="utf-8")


if __name__ == "__main__":
    main()
