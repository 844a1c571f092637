"""What the site changes on its way from Markdown and docstrings to HTML; mkdocs and griffe call it."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import griffe

import harmless

#: The marks of tests/test_docs.py: the name of a file becomes the title of its block, the others go.
_FILE = re.compile(r"^<!-- (?:file|append): *(.*?) -->\n(```+\w+)", re.M)
_MARK = re.compile(r"^<!-- (?:no-test|check-output|file|append)\b.*? -->\n", re.M)
_NAMES = "<!-- public names -->"
_LAYER = re.compile(r"^::: (harmless\.\w+)$", re.M)
_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):`~?([^`]+)`")
_LITERAL = re.compile(r"::(?=\n\n {4})")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Show the names of files that snippets write, and no mark for the tests; complete the reference."""
    markdown = _MARK.sub("", _FILE.sub(r'\2 title="\1"', markdown))
    markdown = _LAYER.sub(lambda found: found[0] + shadowed(found[1]), markdown)
    return markdown.replace(_NAMES, public_names()) if _NAMES in markdown else markdown


def public_names() -> str:
    """Return a table of what ``harmless`` exports, each name with a link to where it is described."""
    rows = ["| `harmless.` | is |", "| --- | --- |"]
    for name, (module, attribute) in sorted(harmless._WHERE.items()):
        value = getattr(harmless, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            place, summary = (
                f"{value.__module__}.{value.__qualname__}",
                (value.__doc__ or "").partition("\n")[0],
            )
        else:
            place, summary = f"{module}.{attribute}", f"`{value}`"
        rows.append(f"| [{name}][{place}] | {_plain(summary)} |")
    return "\n".join(rows)


def shadowed(layer: str) -> str:
    """Return directives for exports of a layer that have the name of their module: griffe sees only that."""
    names = getattr(import_module(layer), "__all__", ())
    specs = {name: find_spec(f"{layer}.{name}") for name in names}
    places = [f"{layer}.{name}.{name}" for name, spec in specs.items() if spec and spec.origin]
    return "".join(f"\n\n::: {place}\n    options: {{show_root_heading: true}}" for place in places)


class Roles(griffe.Extension):
    """Turns Sphinx's roles and literal blocks in docstrings into Markdown."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = _plain(obj.docstring.value)


def _plain(docstring: str) -> str:
    return _LITERAL.sub(":", _ROLE.sub(r"`\1`", docstring))
