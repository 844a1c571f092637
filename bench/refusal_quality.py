"""How well the rules of `align/refusals.yaml` see reason, way on and help in refusals, against labels by hand.

    python bench/refusal_quality.py --data FOLDER

FOLDER holds `labelled_replies.jsonl.gz`; the labels are in `refusal_quality.yaml`, by digest. Writes
`bench/results/refusal_quality.json`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from harmless.align.refusals import Quality, quality
from harmless.data.files import read_rows
from harmless.stats import binomial

HERE = Path(__file__).parent
SHOWN, LOOKED_AT = 330, 40
PARTS = {"reason": "r", "way_on": "w", "help": "h"}


def texts(folder: Path) -> dict[str, str]:
    rows = (row for _, row in read_rows(folder / "labelled_replies.jsonl.gz"))
    replies = (str(row["reply"])[:SHOWN] for row in rows if row.get("reply"))
    return {hashlib.sha256(reply.encode()).hexdigest()[:16]: reply for reply in replies}


def agreement(pairs: Sequence[tuple[Quality, str]], name: str) -> dict[str, Any]:
    seen = [(bool(getattr(found, name)), PARTS[name] in label) for found, label in pairs]
    right, both = sum(a == b for a, b in seen), sum(a and b for a, b in seen)
    found = {"agreement": (right, len(seen)), "precision": (both, sum(a for a, _ in seen))}
    found["recall"] = (both, sum(b for _, b in seen))
    return {key: rate(k, n) for key, (k, n) in found.items()}


def rate(count: int, n: int) -> dict[str, Any]:
    found = binomial(count, n)
    return {"count": count, "n": n, "low": round(found.low, 3), "high": round(found.high, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    known = texts(parser.parse_args().data)
    labels = yaml.safe_load((HERE / "refusal_quality.yaml").read_text())["labels"]
    pairs = [(quality(known[key]), label) for key, label in labels]
    parts = {"looked_at": pairs[:LOOKED_AT], "held_back": pairs[LOOKED_AT:]}
    result = {name: {part: agreement(of, part) for part in PARTS} for name, of in parts.items()}
    text = json.dumps(result, indent=1) + "\n"
    print(text)
    (HERE / "results" / "refusal_quality.json").write_text(text)


if __name__ == "__main__":
    main()
