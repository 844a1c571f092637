"""The data cards say what the catalog and the twins say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harmless.data import catalog
from harmless.data.cards import cards, write_cards

DOCS = Path(__file__).parents[3] / "docs" / "data"


@pytest.mark.parametrize("name", cards())
def test_the_pages_in_the_docs_are_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == cards()[name], (
        "run: python -m harmless.data.cards docs/data"
    )


def test_there_is_no_other_page() -> None:
    assert {path.name for path in DOCS.iterdir()} == set(cards())


def test_every_set_has_a_section_and_a_line_in_the_index() -> None:
    pages = cards()
    for each in catalog().values():
        page = pages[f"{each.family}.md"]
        section = page.partition(f"\n## {each.name}\n")[2].partition("\n## ")[0]
        assert each.licence in section
        assert each.card.measures.rstrip(".") in section
        assert ("not for commercial use" in section) == each.non_commercial
        assert f"[{each.name}]({each.family}.md#{each.name})" in pages["index.md"]


def test_every_card_says_what_is_measured_a_known_result_or_none_and_how_ours_differs() -> None:
    pages = cards()
    for each in catalog().values():
        section = pages[f"{each.family}.md"].partition(f"\n## {each.name}\n")[2].partition("\n## ")[0]
        said = dict(re.findall(r"^- \*\*(.+?):\*\* (.+)$", section, re.MULTILINE))
        assert set(said) == {"Measures", "Known result", "How ours differs"}, each.name
        none = "none published in the facts that this project rests on."
        assert (said["Known result"] == none) == (not each.card.reference), each.name


def test_a_known_result_says_where_it_is_from() -> None:
    for each in catalog().values():
        if re.search(r"\d", each.card.reference):
            assert re.search(r"\(.*\)|ideal|[Cc]hance", each.card.reference), each.name


def test_writing_gives_the_pages(tmp_path: Path) -> None:
    paths = write_cards(tmp_path / "new")
    assert {path.name: path.read_text(encoding="utf-8") for path in paths} == cards()
