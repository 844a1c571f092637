"""The guards that need no other service, measured as they run, beside each other.

    OMP_NUM_THREADS=1 python bench/guard_bench.py [--data FOLDER] [--quick] [--out FOLDER] [--only PART]

Without ``--data`` the built-in prompts only. ``FOLDER`` holds public data (``benign_prompts.jsonl``,
``jailbreaks_inthewild.jsonl.gz``, ``labelled_replies.jsonl.gz``). What is training data of a guard is marked so
in the results. With ``--only`` one part is measured, and the others stay as they are. Writes
``bench/results/guard_bench.json``, the tables of ``docs/guard-bench.md`` and, with
``--out``, the pages and verdicts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from harmless.check import load_policy
from harmless.core import Exchange
from harmless.data import Labelled, read_rows
from harmless.errors import HarmlessError
from harmless.guards import load
from harmless.guards.bench import Bench, GuardResult, Log, Rows, Settings, bench, load_rows
from harmless.report import write_bench

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs" / "guard-bench.md"
START, END = "<!-- guard_bench: start -->", "<!-- guard_bench: end -->"
SAMPLE = 500
PROMPT_GUARDS = ("embedded", "encoder", "rules", "any(rules,embedded)")
REPLY_GUARDS = ("judge", "embedded", "rules")


def sets(data: Path | None) -> Iterator[tuple[str, Rows, tuple[str, ...], Settings]]:
    """Yield name, rows, guards and settings of each part."""
    yield "twins", load_rows("twins"), PROMPT_GUARDS, Settings(cascade=True)
    yield "ordinary", load_rows("ordinary"), PROMPT_GUARDS, Settings(robust=0)
    if data is None:
        return
    alpaca = list(read(data / "benign_prompts.jsonl", unsafe=False, source="Alpaca"))
    yield "alpaca", Rows("Alpaca", "Alpaca rows", tuple(alpaca)), PROMPT_GUARDS, Settings(robust=0)
    wild = data / "jailbreaks_inthewild.jsonl.gz"
    rows = Rows("jailbreaks in the wild", wild.name, tuple(read(wild, unsafe=True)), files=(wild,))
    yield "jailbreaks", rows, PROMPT_GUARDS, Settings(robust=0)
    labelled = data / "labelled_replies.jsonl.gz"
    replies = replace(load_rows("collected_replies", path=labelled), origin=labelled.name)
    yield "replies", replies, REPLY_GUARDS, Settings()


def read(path: Path, *, unsafe: bool, source: str | None = None) -> Iterator[Labelled]:
    for line, row in read_rows(path):
        if source in (None, row["source"]):
            exchange = Exchange.of(row["text"])
            yield Labelled(id=str(line), exchange=exchange, unsafe=unsafe, source=row["source"])


def available(specs: tuple[str, ...]) -> list[str]:
    """Return those guards whose optional packages and artefacts are there."""
    found = []
    for spec in specs:
        try:
            guard = load(spec)
            anyio.run(guard.judge, [Exchange.of("hello", "hello" if guard.info.sees == "reply" else None)])
        except (HarmlessError, OSError) as error:
            print(f"  without {spec}: {error}")
            continue
        found.append(spec)
    return found


def summary(found: Bench) -> dict[str, Any]:
    """Return what is kept of a part: no rows, no finer hazards than domains."""
    return {
        "data": found.data.model_dump(mode="json"),
        "notes": list(found.notes),
        "guards": {each.spec: _guard(each) for each in found.guards},
        "pairs": [pair.model_dump(mode="json", exclude_none=True) for pair in found.pairs],
        "cascades": [each.model_dump(mode="json", exclude_none=True) for each in found.cascades],
    }


def _guard(result: GuardResult) -> dict[str, Any]:
    kept = result.model_dump(
        mode="json",
        include={"threshold", "counts", "measures", "effort", "robustness", "causes"},
        exclude_none=True,
    )
    parts = {"domains": result.hazards, "sources": result.sources}
    return kept | {
        name: {
            each.name: {m: each.measures[m].value for m in ("recall", "fpr", "f1", "auprc", "auroc")}
            for each in of
            if each.level in ("domain", "source")
        }
        for name, of in parts.items()
    }


def markdown(result: dict[str, Any]) -> str:
    """Return the results as tables: quality of each part, then what a cascade gives."""
    lines = [
        "| rows | guard | F1 | AUROC | recall | false positives | recall at 5 % | one row | rows/s |",
        "| --- |" + " ---: |" * 8,
    ]
    for name, part in result.items():
        marked = " *" if any("training data" in note for note in part["notes"]) else ""
        about = f"{name}{marked}: {part['data']['unsafe']} unsafe, {part['data']['safe']} safe"
        for spec, each in part["guards"].items():
            values = [each["measures"][m] for m in ("f1", "auroc", "recall", "fpr", "recall_at_5_fpr")]
            took = each["effort"]
            single = f"{1000 * took['single']['p50']:.1f} ms" if "single" in took else "-"
            lines.append(
                f"| {about} | `{spec}` | {' | '.join(map(_figure, values))} | {single} "
                f"| {took.get('rows_per_s', 0):,.0f} |"
            )
    lines += [
        "",
        "\\* training data of the trained guards: optimistic. The jailbreaks are labelled as attacks, whatever "
        "they ask for. Times are of a core that other work shared, up to ten times what they are alone: "
        "see docs/guards.md.",
        "",
        *_robustness(result["twins"]["guards"]),
        "",
    ]
    for curve in result["twins"]["cascades"]:
        lines += [
            f"`{curve['cheap']}`, then `{curve['expensive']}`, on the twins:",
            "",
            "| escalated | band | F1 | AUROC | false positives |",
            "| ---: | --- | ---: | ---: | ---: |",
        ]
        for step in curve["steps"]:
            band = f"{step['low']:.3f} to {step['high']:.3f}" if "low" in step else "none"
            values = (f"{step['measures'][m]['value']:.3f}" for m in ("f1", "auroc", "fpr"))
            lines.append(f"| {step['escalated']:.0%} | {band} | {' | '.join(values)} |")
        lines.append("")
    return "\n".join(lines)


def _robustness(guards: dict[str, Any]) -> list[str]:
    kept = {
        spec: {one["transform"]: one["kept"] for one in each["robustness"]} for spec, each in guards.items()
    }
    lines = ["Of the harmful twins flagged as they are, still flagged:", ""]
    lines += [f"| transform | {' | '.join(f'`{spec}`' for spec in kept)} |", "| --- |" + " ---: |" * len(kept)]
    for name in next(iter(kept.values())):
        values = (f"{of[name]['value']:.0%}" if "value" in of[name] else "-" for of in kept.values())
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(values)} |")
    return lines


def _figure(estimate: dict[str, float]) -> str:
    if "value" not in estimate:
        return "-"
    limits = f" ({estimate['low']:.2f} to {estimate['high']:.2f})" if "low" in estimate else ""
    return f"{estimate['value']:.3f}{limits}"


def document(result: dict[str, Any]) -> None:
    """Write the tables between the markers of the page."""
    text = DOCS.read_text(encoding="utf-8")
    before, after = text.split(START)[0], text.split(END)[1]
    DOCS.write_text(f"{before}{START}\n{markdown(result)}{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true", help="60 rows a part, results left alone")
    parser.add_argument("--only", help="this part alone")
    options = parser.parse_args()
    path = HERE / "results" / "guard_bench.json"
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if options.only else {}
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        for name, rows, specs, settings in sets(options.data):
            if options.only not in (None, name):
                continue
            if name != "twins" or options.quick:
                rows = rows.limited(60 if options.quick else SAMPLE)
            if options.quick:
                settings = settings.model_copy(update={"robust": 0, "resamples": 200})
            with Log(out / name / "verdicts.jsonl") as log:
                found = anyio.run(bench, available(specs), rows, load_policy(), settings, log)
            write_bench(found, replace(rows, name=name), out / name)
            result[name] = summary(found)
            print(f"{name}: {found.data.unsafe} unsafe, {found.data.safe} safe")
            for each in found.guards:
                values = ((m, each.measures[m].value) for m in ("f1", "auroc", "recall", "fpr"))
                line = "".join(f" {m} {v:.3f}" for m, v in values if v is not None)
                print(f"  {each.spec:22}{line}", flush=True)
            for note in found.notes:
                print(f"  Note: {note}", flush=True)
            if not options.quick:
                path.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if not options.quick:
        document(result)


if __name__ == "__main__":
    main()
