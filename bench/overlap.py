"""How long the overlap of 20,000 against 20,000 texts takes, and how many planted copies it finds.

    python bench/overlap.py [FILE.jsonl ...]

Without files the texts are synthetic. Files have a column ``text``; what they lack is synthetic. Copies of the
first list are planted in the second: 500 exact but for case and punctuation, 500 with one word in ten
exchanged, 500 with their halves exchanged. Writes ``bench/results/overlap.json``.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from pathlib import Path

from harmless.data.files import read_rows
from harmless.data.overlap import overlap
from harmless.data.similar import Words

ROWS, PLANTED = 20_000, 500
RESULT = Path(__file__).parent / "results" / "overlap.json"


def main() -> None:
    rng = random.Random(0)
    vocabulary = ["".join(rng.choices("abcdefghijklmnoprstuvw", k=rng.randint(2, 9))) for _ in range(8000)]
    frequency = [1 / (rank + 2.7) for rank in range(8000)]  # Zipf and Mandelbrot
    texts = [str(row["text"]) for path in sys.argv[1:] for _, row in read_rows(path)][: 2 * ROWS]
    real = len(texts)
    rng.shuffle(texts)
    while len(texts) < 2 * ROWS:
        words = rng.choices(vocabulary, frequency, k=rng.randint(8, 40))
        texts.append(" ".join(words) + ".")
    rng.shuffle(texts)
    a, b = texts[:ROWS], texts[ROWS : 2 * ROWS - 3 * PLANTED]
    long = [text for text in a if len(text.split()) >= 15]
    exact = [text.upper().replace(".", " !") for text in rng.sample(long, PLANTED)]
    near = [exchanged(text, vocabulary, rng) for text in rng.sample(long, PLANTED)]
    moved = [turned(text) for text in rng.sample(long, PLANTED)]
    b += exact + near + moved
    seconds: dict[str, float] = {}
    cpu: dict[str, float] = {}
    found = {}
    for name, options in (("exact", {"near": None}), ("near", {}), ("near and words", {"encoder": Words()})):
        start, busy = time.perf_counter(), time.process_time()
        found[name] = overlap(a, b, **options)  # type: ignore[arg-type]
        seconds[name] = round(time.perf_counter() - start, 1)
        cpu[name] = round(time.process_time() - busy, 1)
    hit = {match.b: match.how for match in found["near and words"].matches}
    first = ROWS - 3 * PLANTED
    result = {
        "rows": [len(a), len(b)],
        "of them real": real,
        "seconds": seconds,
        "cpu seconds": cpu,
        "planted": PLANTED,
        "exact found": sum(hit.get(j) == "exact" for j in range(first, first + PLANTED)),
        "exchanged words found": sum(j in hit for j in range(first + PLANTED, first + 2 * PLANTED)),
        "moved halves found": sum(j in hit for j in range(first + 2 * PLANTED, ROWS)),
        "other rows found": sum(j < first for j in hit),
        "peak memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def exchanged(text: str, vocabulary: list[str], rng: random.Random) -> str:
    words = text.split()
    for i in rng.sample(range(len(words)), max(len(words) // 10, 1)):
        words[i] = rng.choice(vocabulary)
    return " ".join(words)


def turned(text: str) -> str:
    words = text.split()
    return " ".join(words[len(words) // 2 :] + words[: len(words) // 2])


if __name__ == "__main__":
    main()
