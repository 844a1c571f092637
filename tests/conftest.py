"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A worker of pytest-xdist is told the size of the terminal, and rich would keep to it in every test.
os.environ.pop("COLUMNS", None)
os.environ.pop("LINES", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let warnings of torch and what stands on it pass: each release has new ones, and none is ours."""
    for item in items:
        if item.get_closest_marker("hf"):
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder with real public data, which is not part of the project."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs real public data in ../shared/data, which is not part of the project")
    return folder


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
