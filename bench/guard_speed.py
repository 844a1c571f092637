"""What the built-in guards cost: microseconds a prompt of 50 characters in batches of 64 on one core.

    OMP_NUM_THREADS=1 python bench/guard_speed.py [--quick]

Prompts are different in every batch, so that nothing is remembered. Ordinary prompts, and prompts of which half
are flagged (then words and domain are looked up), for `embedded` (limit 100 microseconds) and for `encoder`,
which runs both tiers (limit 3 milliseconds) and is left out where ONNX Runtime is not installed; exchanges with
a reply for the judge. Writes ``bench/results/guard_speed.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import statistics
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import anyio
import yaml

from harmless.core import Exchange, Guard
from harmless.errors import MissingExtraError
from harmless.guards import load
from harmless.guards.judge import judge

CHARS, BATCH = 50, 64
#: Microseconds a prompt.
LIMITS = {"embedded": 100.0, "encoder": 3000.0}
RESULT = Path(__file__).parent / "results" / "guard_speed.json"
WORDS = Path(__file__).parent / "guard_speed_words.yaml"


@cache
def words() -> dict[str, list[str]]:
    return dict(yaml.safe_load(WORDS.read_text(encoding="utf-8")))


def prompt(rng: random.Random, kind: str = "benign") -> str:
    vocabulary = words()[kind]
    return " ".join(rng.choices(vocabulary, k=14))[:CHARS]


def ordinary(rng: random.Random) -> Exchange:
    return Exchange.of(prompt(rng))


def half_flagged(rng: random.Random) -> Exchange:
    return Exchange.of(prompt(rng, "harmful" if rng.random() < 0.5 else "benign"))


def replied(rng: random.Random) -> Exchange:
    return Exchange.of(prompt(rng), " ".join(rng.choices(words()["benign"], k=60))[:300])


async def measure(guard: Guard, make: Callable[[random.Random], Exchange], batches: int) -> dict[str, float]:
    rng = random.Random(0)
    await guard.judge([make(rng) for _ in range(BATCH)])
    times, flagged = [], 0
    for _ in range(batches):
        exchanges = [make(rng) for _ in range(BATCH)]
        start = time.perf_counter()
        verdicts = await guard.judge(exchanges)
        times.append((time.perf_counter() - start) / BATCH * 1e6)
        flagged += sum(verdict.outcome == "unsafe" for verdict in verdicts)
    ranked = sorted(times)
    return {
        "median_us": round(statistics.median(times), 1),
        "p95_us": round(ranked[int(0.95 * len(ranked))], 1),
        "mean_us": round(statistics.fmean(times), 1),
        "flagged_share": round(flagged / (batches * BATCH), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    batches = 50 if quick else 500
    found = {}
    for name, few in (("embedded", batches), ("encoder", batches // 10)):
        for label, make in (("ordinary prompts", ordinary), ("half flagged", half_flagged)):
            try:
                found[f"{name}, {label}"] = anyio.run(measure, load(name), make, few)
            except MissingExtraError as error:
                print(f"without {name}: {error}")
    found["judge, replies of 300 characters"] = anyio.run(measure, judge(), replied, batches)
    machine = f"{platform.machine()}, Python {platform.python_version()}, one thread"
    result = {"chars": CHARS, "batch": BATCH, "limits_us": LIMITS, "machine": machine, "results": found}
    if not quick:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, times in found.items():
        flagged = f"flagged {times['flagged_share']:.0%}"
        print(f"{name:36} median {times['median_us']:7.1f} us   p95 {times['p95_us']:7.1f} us   {flagged}")
    slow = [
        name for name, times in found.items() if times["median_us"] > LIMITS.get(name.split(",")[0], math.inf)
    ]
    if slow:
        raise SystemExit(f"slower than the limit: {', '.join(slow)}")


if __name__ == "__main__":
    main()
