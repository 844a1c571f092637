"""A tiny model with random weights for the tests of explanations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harmless.internals.model import LocalModel


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="needs torch (extra hf)")
    from tests.tiny import saved

    return saved(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> LocalModel:
    from harmless.internals.model import load

    return load(str(tiny_folder), "cpu")
