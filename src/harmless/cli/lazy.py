"""Commands of a group that are imported when they are used; what they do is told without."""

from __future__ import annotations

import ast
from importlib import resources

from cyclopts import App


def command(group: App, name: str, where: str) -> None:
    """Add the function ``module:function`` of this package to a group, with the docstring it has as its help.

    An import would take seconds where a command needs torch; the text of the module takes a few milliseconds.
    """
    module, _, function = where.partition(":")
    text = resources.files(__package__).joinpath(f"{module}.py").read_text(encoding="utf-8")
    found = next(each for each in ast.parse(text).body if getattr(each, "name", "") == function)
    assert isinstance(found, ast.FunctionDef)
    group.command(f"{__package__}.{where}", name=name, help=ast.get_docstring(found))
