"""The page of a guard benchmark in a real browser: it loads nothing and opens a text only when asked."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from harmless.check import load_policy
from harmless.guards.bench import Log, Settings, bench, load_rows
from harmless.report import write_bench
from tests.browser import chromium


def test_the_page_stands_by_itself_and_fits(tmp_path: Path) -> None:
    found = chromium.find()
    if not found:
        pytest.skip("there is no Chromium on this machine")
    rows, settings = load_rows("twins").limited(40), Settings(resamples=50, robust=4, cascade=True)
    result = anyio.run(bench, ["rules", "embedded"], rows, load_policy(), settings, Log())
    address = write_bench(result, rows, tmp_path / "out")[0].as_uri()
    with chromium.page(tmp_path / "profile", found) as page:
        for width in (1280, 400):
            page.resize(width)
            page.open(address)
            assert page.requests == [address]
            assert page.console == []
            assert page.eval("document.documentElement.scrollWidth") <= width
        assert page.eval("document.querySelectorAll('main > section').length") == 10
        page.eval("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.eval("document.querySelectorAll('.sealed blockquote').length") == 0
        page.eval("document.querySelector('.reveal').click()")
        shown = str(page.eval("document.querySelector('.sealed blockquote').textContent"))
        assert shown in {row.exchange.prompt for row in rows.items if row.unsafe}
