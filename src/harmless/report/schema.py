"""JSON Schemas (draft 2020-12) of the machine forms, made from the models.

``python src/harmless/report/schema.py`` writes them again after a model has changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harmless.align.proof import Proof
from harmless.attacks import Results
from harmless.attacks.analysis import Analysis
from harmless.attacks.trial import Attacked
from harmless.check import Summary
from harmless.errors import UnknownNameError
from harmless.explain.attribution import Explained
from harmless.explain.bias import Sources
from harmless.explain.claims import Claims
from harmless.explain.counterfactual import Counterfactual
from harmless.explain.inside import Inside
from harmless.explain.misuse import Misuse
from harmless.guards.bench import Bench
from harmless.guards.bench.case_study import CaseStudy
from harmless.guards.flips import Explanations
from harmless.report.attacked import AttackReport
from harmless.report.documents import ComparisonDocument
from harmless.report.model import Report

DOCUMENTS: Mapping[str, type[BaseModel]] = {
    "summary": Summary,
    "comparison": ComparisonDocument,
    "report": Report,
    "guard_bench": Bench,
    "case_study": CaseStudy,
    "guard_explain": Explanations,
    "proof": Proof,
    "attack": Results,
    "attack_report": AttackReport,
    "attacked": Attacked,
    "failures": Analysis,
    "explain_attribution": Explained,
    "explain_bias": Sources,
    "explain_counterfactual": Counterfactual,
    "explain_hallucination": Claims,
    "explain_inside": Inside,
    "explain_misuse": Misuse,
}
"""Name of the schema -> model of the document."""


def schema(name: str) -> dict[str, Any]:
    """Return a schema: ``summary`` (check, show), ``comparison`` (compare), ``report``, ..."""
    if name not in DOCUMENTS:
        raise UnknownNameError("schema", name, DOCUMENTS)
    file = resources.files("harmless.report") / "schemas" / f"{name}.schema.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def generate(name: str) -> dict[str, Any]:
    """Return the schema as the model is now."""
    plain = DOCUMENTS[name].model_json_schema(mode="serialization")
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "$id": f"urn:harmless:{name}:1", **plain}


def write_all(folder: Path) -> list[Path]:
    """Write all schemas into ``folder``; returns their paths."""
    paths = []
    for name in DOCUMENTS:
        path = folder / f"{name}.schema.json"
        path.write_text(json.dumps(generate(name), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


if __name__ == "__main__":
    for written in write_all(Path(__file__).parent / "schemas"):
        print(written)
