"""The report of an attack: one page with covered texts, and a document without any."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harmless.attacks import from_texts, load
from harmless.attacks.finding import finding
from harmless.attacks.recorded import recorded
from harmless.errors import UsageError
from harmless.evidence import Store
from harmless.report import write
from tests.doubles import FakeTarget, said
from tests.unit.attacks.test_campaign import campaign
from tests.unit.attacks.test_failures import THINGS
from tests.unit.attacks.test_measures import attacked

SECRET = "UNSAFE take the golden key"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "evidence.db") as store:
        yield store


def run_of(store: Store) -> str:
    target = FakeTarget(lambda prompt, _: said(SECRET if prompt.startswith("debug>") else "REFUSE"))
    attacks = [load("direct"), load("template(debug_console)"), load("best_of_n")]
    return attacked(store, target, attacks, from_texts(THINGS, "salad.c.O57")).run


def test_the_page_has_success_budgets_hazards_modes_and_covered_texts(store: Store, tmp_path: Path) -> None:
    html, document = write(store, run_of(store), out=tmp_path / "out")
    page = html.read_text()
    for title in ("Success", "Budget and variety", "Hazards", "Failure modes", "Successes"):
        assert f">{title}</h2>" in page
    assert "template(debug_console) reaches 100 %" in page
    assert re.search(r"asked outright, 0 % \(0–\d+\)\.", page)
    assert "golden key" not in page
    assert "<script src" not in page
    found = json.loads(document.read_text())
    assert found["format"] == "harmless.attack/1"
    assert found["results"]["attacks"][1]["asr"]["rate"] == 1.0
    assert found["failures"]["failures"] == 12
    assert "golden key" not in document.read_text()


def test_an_attackers_model_that_does_not_write_is_on_the_page(store: Store, tmp_path: Path) -> None:
    writer = FakeTarget(lambda *_: said("REFUSE"), name="writer")
    asked = FakeTarget(lambda *_: said("REFUSE"))
    run = campaign(store, asked, specs=("direct", "pair"), attacker=writer, objectives=["a b"]).run
    page = write(store, run, out=tmp_path / "out")[0].read_text()
    assert "failed or refused to write: pair 15 of 15." in page


def test_a_difference_that_may_be_chance_is_said_to_be_one(store: Store) -> None:
    target = FakeTarget(lambda prompt, _: said(SECRET if prompt.startswith("debug>") else "REFUSE"))
    attacks = [load("direct"), load("template(debug_console)")]
    found = attacked(store, target, attacks, from_texts(THINGS[:3], "salad.c.O57"))
    assert finding(found).endswith("which may be chance.")


def test_transfer_is_on_the_page_of_a_replay(store: Store, tmp_path: Path) -> None:
    first = run_of(store)
    again = [recorded(first, str(tmp_path)), load("direct")]
    other = FakeTarget(lambda *_: said("REFUSE"), name="other")
    run = attacked(store, other, again, store.prompts(first)).run
    page = write(store, run, out=tmp_path / "out")[0].read_text()
    assert "objectives reached again" in page
    assert "Successes</h2>" not in page


def test_without_scikit_learn_there_are_no_modes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(store)
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    (document,) = write(store, run, out=tmp_path / "out", formats=["json"])
    assert json.loads(document.read_text())["failures"] is None


def test_an_attack_is_not_compared_with_another_run(store: Store, tmp_path: Path) -> None:
    run = run_of(store)
    with pytest.raises(UsageError, match="is an attack"):
        write(store, run, before=run, out=tmp_path / "out")
