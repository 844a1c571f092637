"""How long a file of 21,318 rows in SALAD-Bench's base schema takes to load, and how much memory.

    python bench/data_load.py [ROWS]

The texts are synthetic, of the length of the published ones; the categories are the 66 real labels. Writes
``bench/results/data_load.json``.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harmless import taxonomy

RESULT = Path(__file__).parent / "results" / "data_load.json"
SOURCES = ("GPT-Gen", "HH-harmless", "HH-red-team", "Advbench", "Multilingual", "Do-Not-Answer", "ToxicChat")


def write_file(path: Path, rows: int) -> None:
    """Write so many rows in the schema of the base set as one JSON array, as it is published."""
    rng, spine = random.Random(0), taxonomy.load()
    words = ["".join(rng.choices("abcdefghijklmnoprstuvw", k=rng.randint(2, 9))) for _ in range(5000)]

    def row(qid: int) -> dict[str, object]:
        task, domain = spine.ancestors((leaf := rng.choice(spine.leaves)).key)
        return {
            "qid": qid,
            "question": " ".join(rng.choices(words, k=rng.randint(6, 40))) + "?",
            "source": rng.choice(SOURCES),
            "1-category": domain.label,
            "2-category": task.label,
            "3-category": leaf.label,
        }

    path.write_text(json.dumps([row(qid) for qid in range(rows)], indent=1), encoding="utf-8")


def measure(path: Path) -> None:
    """Load the file and print what it took; run in a process of its own, so that the peak is the loading's."""
    from harmless.data import load

    start, busy = time.perf_counter(), time.process_time()
    found = load("salad_base", path=path)
    result = {
        "rows": len(found.items),
        "seconds": round(time.perf_counter() - start, 2),
        "cpu seconds": round(time.process_time() - busy, 2),
        "peak memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(result))


def run(rows: int) -> dict[str, float]:
    """Return rows, seconds and the peak memory in MB of loading a file with so many rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base_set.json"
        write_file(path, rows)
        done = subprocess.run([sys.executable, __file__, str(path)], check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].isdigit():
        measure(Path(sys.argv[1]))
    else:
        measured = run(int(sys.argv[1]) if len(sys.argv) > 1 else 21_318)
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(measured, indent=1) + "\n")
        print(json.dumps(measured, indent=1))
