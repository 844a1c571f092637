"""What all pages share: one file with style and script inside, templates that escape, the colours."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import yaml

from harmless.report import words
from harmless.report.charts.bars import bar
from harmless.report.charts.ramp import grade_class, rate_class
from harmless.report.text import sealed, visible

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, context: Mapping[str, Any], *, styles: tuple[str, ...] = ()) -> str:
    """Return a template as a page that needs nothing else.

    The page's policy allows no script and style but its own, by their hashes. What others wrote is escaped, and
    characters that hide or reorder text are shown as such.

    Args:
        template: its name among the templates; it has ``style``, ``script`` and ``content_policy`` to put in.
        context: what else it needs.
        styles: further style sheets among the templates, after the common one.
    """
    style = "\n".join((_style(), *map(asset, styles)))
    script = asset("script.js")
    own = {"style": _markup(style), "script": _markup(script), "content_policy": _content_policy(style, script)}
    return environment().get_template(template).render({**context, **own})


def _content_policy(style: str, script: str) -> str:
    sources = {"style-src": style, "script-src": script}
    hashes = "; ".join(f"{name} 'sha256-{_sha256(text)}'" for name, text in sources.items())
    return f"default-src 'none'; {hashes}; base-uri 'none'; form-action 'none'"


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def environment() -> Environment:
    """Return what renders the templates: filters for numbers, no undefined names, all text escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("harmless.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name: getattr(words, name)
        for name in (
            "percent",
            "span",
            "points",
            "points_span",
            "chance",
            "number",
            "events",
            "of",
            "plural",
            "figure",
        )
    }
    environment.filters |= {"sealed": sealed, "rate_class": rate_class}
    environment.globals |= {"bar": bar, "grade_class": grade_class}
    return environment


def _shown(value: Any) -> Any:
    """Make what hides in plain text visible; markup of our own passes."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)


def asset(name: str) -> str:
    """Return the text of a file among the templates."""
    file = resources.files("harmless.report") / "templates" / name
    return file.read_text(encoding="utf-8").replace("\r\n", "\n")


@cache
def _style() -> str:
    """Return the style sheet: the colours of both themes as variables, then the rules."""
    light, dark = (
        "".join(f"--{name}:{colour};" for name, colour in theme.items()) for theme in palette().values()
    )
    return (
        f":root{{color-scheme:light;{light}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light])"
        f"{{color-scheme:dark;{dark}}}}}\n"
        f"@media screen{{:root[data-theme=dark]{{color-scheme:dark;{dark}}}}}\n{asset('style.css')}"
    )


@cache
def palette() -> dict[str, dict[str, str]]:
    """Return theme (``light``, ``dark``) -> name of the colour -> ``#rrggbb``."""
    found: dict[str, dict[str, str]] = yaml.safe_load(asset("palette.yaml"))
    return found
