"""The page on guard models is made from the formats."""

from __future__ import annotations

from harmless.guards import formats
from harmless.guards.lm_page import page
from tests.conftest import ROOT


def test_the_page_in_docs_is_up_to_date() -> None:
    assert (ROOT / "docs" / "guards-lm.md").read_text(encoding="utf-8") == page()


def test_every_guard_model_has_a_row_with_its_licence() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(formats.names())
    for name, row in zip(formats.names(), rows, strict=True):
        assert formats.find(name).licence in row
        assert "||" not in row.replace(" ", "")
