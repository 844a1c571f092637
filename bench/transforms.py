"""Which transforms a target reads: harmless questions in every form, the control of the transform attacks.

    OMP_NUM_THREADS=1 python bench/transforms.py [--target embedded] [--only SPEC ...]

Writes ``bench/results/transforms.json``, row by row: for each form how many of the questions got a right
answer, the 95 % Wilson interval of that share, and the same without any form as the reference.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import anyio

from harmless import targets
from harmless.attacks.transforms import names
from harmless.attacks.transforms.control import Understood, understood
from harmless.core import Sampling
from harmless.stats import wilson

OUT = Path(__file__).parent / "results" / "transforms.json"


def row(each: Understood) -> dict[str, Any]:
    found = wilson(each.answered, each.replies)
    return {
        "transform": each.spec or "none",
        "answered": each.answered,
        "replies": each.replies,
        "low": found.low,
        "high": found.high,
    }


async def measured(options: argparse.Namespace) -> None:
    asked = targets.load(options.target)
    rows, started = [], time.perf_counter()
    try:
        for spec in [[], *([spec] for spec in options.only or names())]:
            rows += map(row, await understood(asked, [spec], Sampling(max_tokens=options.tokens)))
            print(f"{rows[-1]['transform']:24} {rows[-1]['answered']} of {rows[-1]['replies']}", flush=True)
            result = {
                "target": options.target,
                "tokens": options.tokens,
                "seconds": round(time.perf_counter() - started, 1),
                "rows": rows,
            }
            options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    finally:
        await asked.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="embedded")
    parser.add_argument("--only", nargs="*", default=[], help="transforms; default all")
    parser.add_argument("--tokens", type=int, default=32, help="longest reply")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    options.out.parent.mkdir(exist_ok=True)
    anyio.run(measured, options)


if __name__ == "__main__":
    main()
