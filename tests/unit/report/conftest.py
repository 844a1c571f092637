"""Evidence and reports that the tests of the layer share; made once, never changed."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from harmless.check import load_policy
from harmless.evidence import Store
from harmless.guards.bench import Bench, Log, Rows, Settings, bench, load_rows
from harmless.report import Report, build, render_html
from tests import reports

NOW = "2026-03-04T12:00:00.000+00:00"


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with reports.evidence(tmp_path_factory.mktemp("evidence") / "evidence.db", pairs=3) as found:
        yield found


@pytest.fixture(scope="session")
def two(store: Store) -> Report:
    return build(store, reports.AFTER, before=reports.BEFORE, generated_at=NOW)


@pytest.fixture(scope="session")
def one(store: Store) -> Report:
    return build(store, reports.BEFORE, generated_at=NOW)


@pytest.fixture(scope="session")
def page(two: Report) -> str:
    return render_html(two)


@pytest.fixture(scope="session")
def bench_rows() -> Rows:
    return load_rows("twins").limited(60)


@pytest.fixture(scope="session")
def guard_bench(bench_rows: Rows) -> Bench:
    guards, settings = ["rules", "embedded", "judge"], Settings(resamples=100, robust=8, cascade=True)
    return anyio.run(bench, guards, bench_rows, load_policy(), settings, Log())
