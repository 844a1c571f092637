"""The report in a real browser: it loads nothing, logs nothing, and opens sealed text only when asked."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from harmless import report
from tests import reports
from tests.browser import chromium

SECRET = "What the model said"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the addresses of the report of two runs and of one."""
    folder = tmp_path_factory.mktemp("report")
    with reports.evidence(folder / "evidence.db", pairs=3) as store:
        report.write(store, reports.AFTER, before=reports.BEFORE, out=folder / "two")
        report.write(store, reports.BEFORE, out=folder / "one")
    return {name: (folder / name / "report.html").as_uri() for name in ("two", "one")}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Page]:
    found = chromium.find()
    if not found:
        pytest.skip("there is no Chromium on this machine")
    with chromium.page(tmp_path_factory.mktemp("profile"), found) as page:
        page.resize(1280)
        page.emulate()
        yield page


@pytest.fixture
def two(browser: chromium.Page, pages: dict[str, str]) -> chromium.Page:
    browser.open(pages["two"])
    return browser


def visible_text(page: chromium.Page) -> str:
    """Return the text that is shown, groups of examples opened."""
    page.eval("document.querySelectorAll('details').forEach(d => d.open = true)")
    return str(page.eval("document.body.innerText"))


@pytest.mark.parametrize("name", ["two", "one"])
def test_the_page_loads_nothing_and_has_nothing_to_complain_of(
    browser: chromium.Page, pages: dict[str, str], name: str
) -> None:
    browser.open(pages[name])
    assert browser.requests == [pages[name]]
    assert browser.console == []
    assert browser.eval("document.querySelectorAll('main > section').length") >= 7


def test_the_policy_of_the_page_stops_what_would_leave_it(two: chromium.Page) -> None:
    two.eval("fetch('https://example.invalid/').catch(() => 0)")
    two.eval("new Promise(r => { const i = new Image(); i.onerror = r; i.src = 'https://example.invalid/x'; })")
    two.eval("document.body.append(Object.assign(document.createElement('script'), {text: 'window.leak = 1'}))")
    assert two.eval("window.leak") is None
    assert sum("Content Security Policy" in line for line in two.console) >= 3


def test_harmful_text_is_not_in_the_document_before_it_is_asked_for(two: chromium.Page) -> None:
    assert SECRET not in visible_text(two)
    assert SECRET not in two.eval("document.documentElement.outerHTML")


def test_a_click_shows_one_text_and_another_click_hides_it_again(two: chromium.Page) -> None:
    two.eval("document.querySelectorAll('details').forEach(d => d.open = true)")
    button = ".example:has(.sealed) .reveal[aria-label^='Show the reply']"
    sealed = two.eval(f"document.querySelector(\"{button}\").closest('.sealed').dataset.text")
    text = base64.b64decode(sealed).decode().strip()
    two.click(button)
    assert visible_text(two).count(text) == 1
    assert two.eval("document.querySelectorAll('.sealed.open').length") == 1
    two.click(button)
    assert SECRET not in visible_text(two)


def test_covered_text_stays_covered_in_print(two: chromium.Page) -> None:
    two.emulate("print")
    try:
        assert SECRET not in visible_text(two)
        shown = "getComputedStyle(document.querySelector('.top')).display"
        assert two.eval(shown) == "none"
        assert two.eval("getComputedStyle(document.querySelector('.reveal')).display") == "none"
    finally:
        two.emulate()


def test_arrow_keys_walk_through_the_rings_and_the_panel_follows(two: chromium.Page) -> None:
    name = "document.querySelector('#panel [data-field=name]').textContent"
    two.eval("document.querySelector('.arc').focus()")
    assert two.eval(name) == "Representation & Toxicity"
    two.press("ArrowRight")
    assert two.eval(name) == "Misinformation Harms"
    two.press("ArrowDown")
    two.press("ArrowDown")
    assert two.eval(name) == "Law Advice"
    assert two.eval("document.querySelectorAll('.arc[tabindex=\"0\"]').length") == 1
    two.press("ArrowUp")
    assert two.eval(name) == "Erosion of Trust in Public Information"
    assert " of " in two.eval("document.querySelector('#panel [data-field=after-unsafe]').textContent")


def test_the_rings_show_the_run_that_is_chosen(two: chromium.Page) -> None:
    core = (
        "[...document.querySelectorAll('.core')].find(e => getComputedStyle(e).display != 'none').textContent"
    )
    arc = "document.querySelector('.arc[class*=b-s4]:is(.s0, .s1)')"
    fill = f"getComputedStyle({arc}).getPropertyValue('--fill')"
    colour = "getComputedStyle(document.documentElement).getPropertyValue('--s4')"
    assert "after" in two.eval(core)
    assert two.eval(fill) != two.eval(colour)
    two.click("input[name=shown][value=before] + span")
    assert "before" in two.eval(core)
    assert two.eval(fill) == two.eval(colour)


def rows(page: chromium.Page) -> list[str]:
    """Return the names of the rows of the table that are shown."""
    return list(
        page.eval(
            "[...document.querySelectorAll('.hazards tbody tr')].filter(r => r.checkVisibility())"
            ".map(r => r.dataset.name)"
        )
    )


def filter_by(page: chromium.Page, text: str) -> None:
    """Type a text into the filter box."""
    page.eval(
        "{ const box = document.querySelector('#filter');"
        f" box.value = '{text}'; box.dispatchEvent(new Event('input')); }}"
    )


def test_the_table_is_filtered_sorted_and_switched_between_levels(two: chromium.Page) -> None:
    assert len(rows(two)) == 16
    two.click("#more")
    assert len(rows(two)) == 66
    two.eval(
        "const f = document.querySelector('#filter'); f.value = 'stereo'; f.dispatchEvent(new Event('input'))"
    )
    assert len(rows(two)) == 6
    two.click("[data-sort=name]")
    assert rows(two) == sorted(rows(two))
    assert two.eval("document.querySelector('[data-sort=name]').closest('th').ariaSort") == "ascending"
    two.click("[data-sort=name]")
    assert rows(two) == sorted(rows(two), reverse=True)
    filter_by(two, "")
    two.click("input[name=level][value=domain] + span")
    assert len(rows(two)) == 6


@pytest.mark.parametrize("column", ["grade", "unsafe", "corrected", "refused", "missing", "change", "p"])
def test_every_column_can_be_sorted_both_ways(two: chromium.Page, column: str) -> None:
    values = (
        f"[...document.querySelectorAll('.hazards tbody tr[data-level=category]')]"
        f".map(r => r.dataset.{column}).filter(v => v !== '')"
    )
    for way in ("ascending", "descending"):
        for _ in range(2):
            if two.eval(f"document.querySelector('[data-sort={column}]').closest('th').ariaSort") != way:
                two.click(f"[data-sort={column}]")
        found = two.eval(values)
        keyed = found if column == "grade" else [float(value) for value in found]
        assert keyed == sorted(keyed, reverse=way == "descending")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_the_address_and_the_button(
    browser: chromium.Page, pages: dict[str, str], scheme: str
) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    browser.emulate(scheme=scheme)
    browser.open(pages["one"])
    own = browser.eval(ground)
    browser.click(".theme")
    other = browser.eval(ground)
    assert own != other
    browser.open(pages["one"] + f"?theme={'dark' if scheme == 'light' else 'light'}")
    assert browser.eval(ground) == other
    browser.emulate()


@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("name", ["two", "one"])
def test_nothing_is_wider_than_the_screen(
    browser: chromium.Page, pages: dict[str, str], name: str, width: int
) -> None:
    browser.resize(width)
    browser.open(pages[name])
    try:
        assert browser.eval("document.documentElement.scrollWidth") <= width
    finally:
        browser.resize(1280)


def test_without_scripts_everything_is_there_but_what_is_sealed(
    browser: chromium.Page, pages: dict[str, str]
) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(pages["two"])
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    text = visible_text(browser)
    assert SECRET not in text
    assert len(rows(browser)) == 6 + 16 + 66
    assert browser.eval("document.querySelector('.theme').checkVisibility()") is False


def test_pictures_can_be_taken(two: chromium.Page, tmp_path: Path) -> None:
    two.picture(tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 50_000
