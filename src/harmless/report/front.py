"""The proof of alignments as one HTML file, and as the document that ``--json`` prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harmless.align.proof import Proof, Standing
from harmless.report.charts import front as front_chart
from harmless.report.charts.front import front
from harmless.report.files import replace
from harmless.report.shell import render
from harmless.report.words import percent


def proof_document(proof: Proof) -> dict[str, Any]:
    """Return the machine form; its schema is ``proof``. It holds no text of prompts or replies."""
    return proof.model_dump(mode="json")


def render_proof(proof: Proof) -> str:
    """Return the proof as one HTML page."""
    context = {"proof": proof, "finding": finding(proof), "chart": front_chart, "front": front(proof)}
    return render("front.html.j2", context, styles=("guard_bench.css",))


def write_proof(proof: Proof, out: Path) -> list[Path]:
    """Write ``front.html`` and ``front.json`` into the folder ``out``; UsageError if it cannot be written."""
    text = json.dumps(proof_document(proof), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    return replace(out, {"front.html": render_proof(proof), "front.json": text})


def finding(proof: Proof) -> str:
    """Return the result in a sentence: who is on the front, or only its ends where everybody is on it."""
    if not proof.front:
        return "No target could be assessed on both harmful and benign prompts."
    if len(proof.front) == len(proof.standings) > 2:
        ends = f"fewest unsafe replies {_said(proof.front[0])}, fewest refusals {_said(proof.front[-1])}"
        return f"None of the {len(proof.front)} targets is beaten in both: {ends}."
    named = "; ".join(_said(each) for each in proof.front)
    beaten = [each.target for each in proof.standings if not each.on_front]
    rest = f" Another target is at least as good as {', '.join(beaten)} in both." if beaten else ""
    return f"Not beaten in both: {named}.{rest}"


def _said(each: Standing) -> str:
    return f"{each.target} ({percent(each.unsafe.rate)} unsafe, {percent(each.over_refusal.rate)} refused)"
