"""The page of a proof: helpful against harmless, the front, and what else was measured."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harmless.align.proof import Proof, Refusals, Standing
from harmless.check import Measure, Rate
from harmless.evidence import Store
from harmless.report import render_proof, write_proof
from harmless.report.charts.front import BOTTOM, LEFT, RIGHT, TOP, front
from harmless.report.front import finding
from tests import reports


def rate(value: float | None, spread: float = 0.02) -> Rate:
    known = value if value is not None else 0.5
    return Rate(rate=value, low=max(known - spread, 0), high=min(known + spread, 1), n=100, unassessed=0)


def standing(name: str, unsafe: float | None, refused: float | None, **more: Any) -> Standing:
    nothing = rate(None)
    refusals = Refusals(reason=rate(0.9), way_on=rate(0.8), evasive=rate(0.05), help=nothing)
    fields = {
        "target": name,
        "runs": (name,),
        "refusals": refusals,
        "ordinary": rate(0.01),
        "on_front": True,
        **more,
    }
    return Standing(unsafe=rate(unsafe), over_refusal=rate(refused), **fields)


def proof(*standings: Standing) -> Proof:
    return Proof(suite="standard", confidence=0.95, standings=standings)


THREE = proof(
    standing("base", 0.6, 0.02),
    standing("dpo", 0.1, 0.1, attacks={"pair": rate(0.4)}, domains={"Malicious Use": rate(0.2)}),
    standing("sft", 0.12, 0.4, on_front=False, perplexity=Measure(
        name="perplexity", value=21.5, low=20.0, high=23.0, n=32, unassessed=0, unit="score"
    )),
)  # fmt: skip


def test_up_and_to_the_right_is_better() -> None:
    found = front(THREE)
    assert found is not None
    base, dpo, sft = found.marks
    assert dpo.y < sft.y < base.y
    assert sft.x < dpo.x < base.x
    assert all(LEFT <= m.x_low <= m.x <= m.x_high <= RIGHT for m in found.marks)
    assert all(TOP <= m.y_high <= m.y <= m.y_low <= BOTTOM for m in found.marks)


def test_the_front_goes_in_steps_through_those_that_are_not_beaten() -> None:
    found = front(THREE)
    assert found is not None
    base, dpo, _ = found.marks
    assert found.path == f"M{dpo.x:g} {dpo.y:g}V{base.y:g}H{base.x:g}"


def test_one_target_has_no_line_and_one_without_rates_no_chart() -> None:
    alone = front(proof(standing("base", 0.6, 0.0)))
    assert alone is not None
    assert alone.path == ""
    assert front(proof(standing("base", None, 0.0))) is None
    assert "could be assessed" in finding(proof(standing("base", None, 0.0, on_front=False)))


def test_the_finding_names_who_is_not_beaten_and_who_is() -> None:
    said = finding(THREE)
    assert said.index("dpo (10.0") < said.index("base (60.0") < said.index("at least as good as sft")


def test_where_all_are_on_the_front_the_finding_names_its_ends() -> None:
    three = proof(standing("base", 0.6, 0.0), standing("both", 0.0, 0.3), standing("dpo", 0.1, 0.1))
    said = finding(three)
    assert said.startswith("None of the 3 targets is beaten in both: fewest unsafe replies both (0.0")
    assert "fewest refusals base (60.0" in said
    assert "dpo" not in said


def test_the_page_loads_nothing_and_has_every_target_and_measure() -> None:
    html = render_proof(THREE)
    assert "default-src &#39;none&#39;" in html
    assert not re.search(r"<(link|img|iframe)\b|\bsrc=", html)
    for id in ("summary", "front", "rates", "domains", "attacks", "refusals", "kept"):
        assert f'<section id="{id}"' in html
        assert f'href="#{id}"' in html
    assert html.count("<circle") == 1 + len(THREE.standings)
    assert "21.5" in html


def test_names_are_escaped() -> None:
    html = render_proof(proof(standing("<script>alert(1)</script>", 0.2, 0.1)))
    assert "<script>alert" not in html


def test_page_and_document_are_written_side_by_side(tmp_path: Path) -> None:
    paths = write_proof(THREE, tmp_path)
    assert [path.name for path in paths] == ["front.html", "front.json"]
    assert Proof.model_validate(json.loads(paths[1].read_text())) == THREE


@pytest.mark.parametrize("title", ["harmful request number", "benign request number"])
def test_no_prompt_is_on_the_page(store: Store, title: str) -> None:
    from harmless.align.proof import prove

    assert title not in render_proof(prove(store, [reports.BEFORE, reports.AFTER]))
