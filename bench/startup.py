"""How long a user waits for nothing: ``import harmless`` and ``harmless --help`` in a new process.

    python bench/startup.py            20 runs each, about 5 seconds
    python bench/startup.py --quick    5 runs each

Wall time of the whole process in seconds, interpreter included; the limits are 0.3 and 0.5. Prints one JSON
document and exits with 1 if a median is over its limit; the full form writes ``bench/results/startup.json``.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"

#: what is started -> (arguments of the interpreter, limit in seconds)
CASES = {
    "python": (["-c", "pass"], None),
    "import harmless": (["-c", "import harmless"], 0.3),
    "harmless --help": (["-m", "harmless", "--help"], 0.5),
}


def seconds(arguments: list[str]) -> float:
    """Return the wall time of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(arguments: list[str], limit: float | None, runs: int) -> dict[str, float | None]:
    """Return median, least and greatest wall time; the first run warms the file cache and is not counted."""
    seconds(arguments)
    taken = [seconds(arguments) for _ in range(runs)]
    return {
        "median": round(statistics.median(taken), 3),
        "min": round(min(taken), 3),
        "max": round(max(taken), 3),
        "limit": limit,
    }


def main() -> int:
    """Measure all cases; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    cases = {name: measure(arguments, limit, 5 if quick else 20) for name, (arguments, limit) in CASES.items()}
    text = json.dumps(
        {"machine": f"{platform.machine()}, python {platform.python_version()}", "seconds": cases}, indent=1
    )
    print(text)
    if not quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "startup.json").write_text(text + "\n")
    return int(any(case["limit"] and case["median"] > case["limit"] for case in cases.values()))  # type: ignore[operator]


if __name__ == "__main__":
    sys.exit(main())
