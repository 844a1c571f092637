"""``harmless guard bench``: which guard is better, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import anyio

from harmless.check import load_policy
from harmless.cli.bench_tables import counting, show_bench
from harmless.cli.console import err, print_json
from harmless.cli.options import AMOUNT
from harmless.guards.bench import Log, Settings, joined, load_rows
from harmless.guards.bench import bench as run_bench
from harmless.guards.bench.rows import Side
from harmless.taxonomy import SPINE

DATA = ("twins",)
OUT = Path("harmless-guard-bench")
UNREACHED = 3


def bench(
    *,
    guard: tuple[str, ...],
    data: tuple[str, ...] = DATA,
    path: Path | None = None,
    side: Side = "as-labelled",
    limit: int | None = None,
    robust: Annotated[int | None, AMOUNT] = None,
    cascade: bool = False,
    taxonomy: str = SPINE,
    policy: Path | None = None,
    seed: int = 0,
    resamples: Annotated[int, AMOUNT] = 1000,
    out: Path = OUT,
    json: bool = False,
) -> int:
    """Measure guards side by side on labelled rows, and write bench.html and bench.json.

    Verdicts are kept in verdicts.jsonl as they come: the same command goes on where it was cut off, and asks
    nothing twice. Exit code 3 if a guard could not be reached; the others' results are there.

    Args:
        guard: a name of `harmless guard list`, with its arguments in brackets; give it several times.
        data: twins, quick, standard or ordinary (built in), a set of `harmless data list` (NAME or
            NAME=FILE), or a JSONL or CSV file with prompt, unsafe, and optionally reply, hazard, source, pair;
            several are taken together.
        path: for one set of the catalog, a file in its published schema instead of the hub.
        side: `prompt` leaves replies away and takes the label of the prompt.
        limit: judge about so many rows, both labels alike, spread over hazards and sources.
        robust: judge so many prompts again under ten transforms; default 100 where nothing leaves the machine,
            else 0.
        cascade: also measure the first guard before each of the others: share escalated against quality.
        taxonomy: report hazards by this taxonomy; see `harmless hazards`.
        policy: YAML file with the thresholds; see `harmless policy`.
        seed: of the sample, the bootstrap and the transforms.
        resamples: draws of the bootstrap.
        out: folder of verdicts.jsonl, bench.html and bench.json.
        json: print one JSON document instead of tables.
    """
    from harmless.report import bench_document, write_bench

    rules = load_policy(policy)
    rows = joined([load_rows(name, path=path, side=side) for name in data]).limited(limit, seed)
    settings = Settings(
        seed=seed, resamples=resamples, taxonomy=taxonomy, limit=limit, robust=robust, cascade=cascade
    )
    with Log(out / "verdicts.jsonl") as log, counting(quiet=json) as progress:
        found = anyio.run(run_bench, guard, rows, rules, settings, log, progress)
    paths = write_bench(found, rows, out)
    if json:
        print_json(bench_document(found))
    else:
        show_bench(found)
    for path in paths:
        err.print(f"Wrote {path}")
    return UNREACHED if found.unreached else 0
