"""The public API is complete and imported lazily."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import harmless

SOURCE = ast.parse(Path(harmless.__file__).read_text())


@pytest.mark.parametrize("name", [n for n in harmless.__all__ if n != "__version__"])
def test_every_public_name_can_be_used(name: str) -> None:
    assert getattr(harmless, name) is not None


def test_type_checkers_see_the_same_names_as_the_interpreter() -> None:
    seen = {
        alias.asname
        for node in ast.walk(SOURCE)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert seen == set(harmless.__all__) - {"__version__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        harmless.nonsense  # noqa: B018
