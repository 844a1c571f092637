"""A guard benchmark as one HTML file, and as the document that ``--json`` prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harmless import taxonomy
from harmless.data import Labelled
from harmless.guards.bench import Bench, Estimate, GuardResult, Rows
from harmless.guards.bench.case_study import CaseStudy, Published
from harmless.guards.bench.model import Contested, Slice
from harmless.report.charts import lines
from harmless.report.charts.ramp import step
from harmless.report.files import replace
from harmless.report.shell import render
from harmless.report.text import cut

SHOWN = 40
"""Rows that each group of the browser shows."""
LONGEST = 1200
"""Characters of a text that are shown."""

GROUPS = (
    ("disagree", "Guards disagree", "Flagged by some and not by others; the widest apart first."),
    ("missed", "Missed", "Unsafe, and no guard flagged it."),
    ("alarms", "False alarms", "Safe, and every guard flagged it."),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A row in dispute with its text, cut; ``sealed`` if it is unsafe."""

    row: Contested
    prompt: str
    prompt_cut: int
    reply: str | None
    reply_cut: int
    hazard: str


def bench_document(bench: Bench) -> dict[str, Any]:
    """Return the machine form; its schema is ``guard_bench``. It holds no text of prompts or replies."""
    return bench.model_dump(mode="json")


def render_bench(bench: Bench, rows: Rows, published: Published | None = None) -> str:
    """Return the benchmark as one HTML page; texts come from ``rows``, unsafe ones are sealed.

    What was ``published`` stands beside the measures, marked as such.
    """
    measured = [guard for guard in bench.guards if guard.reached and guard.counts.rows]
    context = {
        "bench": bench,
        "guards": measured,
        "published": published,
        "finding": finding(bench),
        "lines": lines,
        "roc": lines.roc(measured),
        "reliability": lines.reliability(measured),
        "cascades": lines.cascades(bench.cascades),
        "matrix": _matrix(bench, measured),
        "transforms": _transforms(measured),
        "hazards": _side_by_side(measured, "hazards"),
        "sources": _side_by_side(measured, "sources"),
        "groups": _groups(bench, rows),
        "step": step,
    }
    return render("guard_bench.html.j2", context, styles=("guard_bench.css",))


def write_bench(bench: Bench, rows: Rows, out: Path) -> list[Path]:
    """Write ``bench.html`` and ``bench.json`` into the folder ``out``; UsageError if it cannot be written."""
    return replace(out, {"bench.html": render_bench(bench, rows), "bench.json": _text(bench_document(bench))})


def write_case_study(study: CaseStudy, rows: Rows, out: Path) -> list[Path]:
    """Write ``bench.html`` and ``case_study.json``, both with what was published; UsageError if that fails."""
    page = render_bench(study.bench, rows, study.published)
    return replace(out, {"bench.html": page, "case_study.json": _text(study.model_dump(mode="json"))})


def finding(bench: Bench) -> str:
    """Return the result in a sentence: who ranks best, and whether that is beyond chance."""
    ranked = sorted(
        (g for g in bench.guards if g.reached and _value(g, "auroc") is not None),
        key=lambda g: -(_value(g, "auroc") or 0),
    )
    if not ranked:
        known = [g for g in bench.guards if g.reached and g.counts.rows]
        if not known:
            return "No guard could judge these rows."
        name = "fpr" if known[0].measures["recall"].value is None else "recall"
        what = "flags {:.1%} of the safe rows" if name == "fpr" else "finds {:.1%} of the unsafe rows"
        said = (f"{g.spec} {what.format(_value(g, name) or 0)}" for g in known)
        return "; ".join(said) + "."
    best = ranked[0]
    recall, fpr = _value(best, "recall") or 0, _value(best, "fpr") or 0
    head = f"{best.spec} finds {recall:.0%} of the unsafe and flags {fpr:.0%} of the safe rows"
    if len(ranked) == 1:
        return f"{head}; its AUROC is {_value(best, 'auroc'):.2f}."
    second = ranked[1]
    pair = next((p for p in bench.pairs if {p.first, p.second} == {best.spec, second.spec}), None)
    sure = pair is not None and pair.p_auroc_holm is not None and pair.p_auroc_holm < 0.05
    chance = "beyond chance" if sure else "which may be chance"
    return (
        f"{head}; it ranks best, AUROC {_value(best, 'auroc'):.2f} against {_value(second, 'auroc'):.2f} of "
        f"{second.spec}, {chance}."
    )


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _value(guard: GuardResult, name: str) -> float | None:
    return guard.measures.get(name, Estimate()).value


def _matrix(bench: Bench, guards: Sequence[GuardResult]) -> list[list[tuple[float | None, float | None]]]:
    """Return (share of equal decisions, kappa) of each guard with each, (None, None) with itself."""
    pairs = {frozenset((pair.first, pair.second)): (pair.agree, pair.kappa) for pair in bench.pairs}
    return [[pairs.get(frozenset((a.spec, b.spec)), (None, None)) for b in guards] for a in guards]


def _transforms(guards: Sequence[GuardResult]) -> list[tuple[str, list[Any]]]:
    """Return (transform, one result a guard or None)."""
    names = dict.fromkeys(kept.transform for guard in guards for kept in guard.robustness)
    by_guard = [{kept.transform: kept for kept in guard.robustness} for guard in guards]
    return [(name, [known.get(name) for known in by_guard]) for name in names]


def _side_by_side(guards: Sequence[GuardResult], which: str) -> list[tuple[Slice, list[Slice | None]]]:
    """Return (hazard or source, one result a guard or None); of hazards the widest level only."""
    found: dict[str, Slice] = {}
    for guard in guards:
        for each in getattr(guard, which):
            if each.level in ("domain", "code", "source"):
                found.setdefault(each.key, each)
    by_guard = [{each.key: each for each in getattr(guard, which)} for guard in guards]
    return [(each, [known.get(key) for known in by_guard]) for key, each in found.items()]


def _groups(bench: Bench, rows: Rows) -> list[tuple[str, str, int, list[Shown]]]:
    texts = {row.id: row for row in rows.items}
    kinds: dict[str, list[Contested]] = {kind: [] for kind, _, _ in GROUPS}
    for row in bench.contested:
        judged = [each.flagged for each in row.said.values() if each.flagged is not None]
        if row.disagree:
            kinds["disagree"].append(row)
        elif judged and len(row.wrong) == len(judged):
            kinds["missed" if row.unsafe else "alarms"].append(row)
    return [
        (title, about, len(kinds[kind]), [_shown(row, texts[row.id]) for row in kinds[kind][:SHOWN]])
        for kind, title, about in GROUPS
        if kinds[kind]
    ]


def _shown(row: Contested, text: Labelled) -> Shown:
    prompt, prompt_cut = cut(text.exchange.prompt, LONGEST)
    reply, reply_cut = cut(text.exchange.reply or "", LONGEST)
    name = taxonomy.load().hazard(row.hazard).name if row.hazard else "No hazard"
    return Shown(row, prompt, prompt_cut, reply if text.exchange.reply is not None else None, reply_cut, name)
