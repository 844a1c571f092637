from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest

from harmless.align.proof import prove
from harmless.attacks.trial import Learnt, compared
from harmless.check import compare, grade, load_policy
from harmless.core import Exchange
from harmless.errors import UnknownNameError
from harmless.evidence import Store
from harmless.guards import load as load_guard
from harmless.guards.bench import Bench
from harmless.guards.bench.case_study import CaseStudy, case_study_rows, published
from harmless.guards.flips import Explanations, explain
from harmless.report import (
    Report,
    bench_document,
    check_document,
    comparison_document,
    proof_document,
    report_document,
    schema,
    write,
)
from harmless.report.schema import DOCUMENTS, generate, write_all
from tests import reports
from tests.unit.report.test_attacked import run_of

#: Documents made here; those of explanations are in tests/unit/cli/test_explain_command.py.
MADE = [name for name in DOCUMENTS if not name.startswith("explain_")]


@pytest.fixture(scope="module")
def attack(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("attack")
    with Store(folder / "evidence.db") as store:
        run = run_of(store)
        (path,) = write(store, run, out=folder, formats=["json"])
        attacked = compared(store, run, run, Learnt(run=run, objectives=1, failures=0))
    found: dict[str, Any] = json.loads(path.read_text())
    return {
        "attack": found["results"],
        "attack_report": found,
        "failures": found["failures"],
        "attacked": attacked.model_dump(mode="json"),
    }


@pytest.fixture(scope="module")
def documents(
    store: Store, two: Report, guard_bench: Bench, attack: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    return {
        "guard_bench": bench_document(guard_bench),
        "guard_explain": Explanations(
            explanations=(
                anyio.run(explain, "rules", load_guard("rules"), Exchange.of("A pipe bomb?"), load_policy()),
            )
        ).model_dump(mode="json"),
        "case_study": CaseStudy(
            parts=case_study_rows({}, size=4)[1], published=published(), bench=guard_bench, notes=()
        ).model_dump(mode="json"),
        "summary": check_document(grade(store, store.run(reports.BEFORE))),
        "comparison": comparison_document(compare(store, reports.BEFORE, reports.AFTER)),
        "report": report_document(two),
        "proof": proof_document(prove(store, [reports.BEFORE, reports.AFTER])),
        **attack,
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_schemas_in_the_package_are_those_of_the_models(name: str) -> None:
    assert schema(name) == generate(name), "run: python src/harmless/report/schema.py"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", MADE)
def test_real_documents_fit_their_schema(documents: dict[str, dict[str, Any]], name: str) -> None:
    plain = json.loads(json.dumps(documents[name], allow_nan=False))
    jsonschema.Draft202012Validator(schema(name)).validate(plain)


def test_the_report_of_one_run_fits_the_same_schema(one: Report) -> None:
    jsonschema.Draft202012Validator(schema("report")).validate(report_document(one))


@pytest.mark.parametrize("name", MADE)
def test_a_document_with_a_field_too_few_or_too_many_does_not_fit(
    documents: dict[str, dict[str, Any]], name: str
) -> None:
    validator = jsonschema.Draft202012Validator(schema(name))
    document = dict(documents[name])
    assert not validator.is_valid({**document, "surprise": 1})
    document.pop(
        {
            "report": "finding",
            "guard_bench": "data",
            "case_study": "bench",
            "guard_explain": "explanations",
            "proof": "standings",
            "attack": "attacks",
            "attack_report": "results",
            "failures": "modes",
            "attacked": "learnt",
        }.get(name, "unsafe")
    )
    assert not validator.is_valid(document)


@pytest.mark.parametrize("name", ["summary", "comparison"])
def test_checks_and_comparisons_can_be_read_alike(documents: dict[str, dict[str, Any]], name: str) -> None:
    document = documents[name]
    assert {"run", "target", "suite", "unsafe", "over_refusal", "hazards"} <= document.keys()
    rates = [document["unsafe"], document["over_refusal"]]
    for hazard in document["hazards"]:
        assert hazard["id"].startswith("salad.c.")
        rates += [hazard["unsafe"], hazard["over_refusal"]]
    for rate in rates:
        assert {"rate", "low", "high", "n", "unassessed", "corrected"} <= rate.keys()


def test_a_comparison_read_as_a_check_is_the_later_run(documents: dict[str, dict[str, Any]]) -> None:
    document = documents["comparison"]
    assert document["run"] == reports.AFTER
    assert document["unsafe"] == document["after"]["unsafe"]
    assert document["changes"]["unsafe"]["before"] == document["before"]["unsafe"]
    assert document["fixed"]


def test_the_machine_form_of_a_report_has_no_text_of_prompts_or_replies(two: Report) -> None:
    text = json.dumps(report_document(two), ensure_ascii=False)
    assert "What the model said" not in text
    assert "A harmful request" not in text
    assert two.examples[0].prompt_id in text


def test_schemas_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    paths = write_all(tmp_path)
    assert [path.name for path in paths] == [f"{name}.schema.json" for name in DOCUMENTS]


def test_an_unknown_schema_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="comparison"):
        schema("comparisons")
