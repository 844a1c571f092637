"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import yaml

from harmless import taxonomy
from harmless.report import words
from harmless.report.charts import balance as balance_chart
from harmless.report.charts import slope as slope_chart
from harmless.report.charts import sunburst as sunburst_chart
from harmless.report.charts.bars import bar
from harmless.report.charts.ramp import grade_class, legend, rate_class
from harmless.report.examples import kinds_present
from harmless.report.levels import Row, rows, worst_first
from harmless.report.measures import tables
from harmless.report.method import method_facts
from harmless.report.model import Report
from harmless.report.text import sealed, visible
from harmless.taxonomy import Level

if TYPE_CHECKING:
    from jinja2 import Environment

#: Hazards that the table shows before all are asked for.
FIRST_ROWS = 16


def render_html(report: Report) -> str:
    """Return the report as one HTML page: no network, no other file, both themes, fit to print.

    What others wrote (prompts, replies, names, causes) is escaped, and characters that hide or reorder text are
    shown as such; harmful text is sealed until it is asked for. The page's policy allows no script and style
    but its own, by their hashes.
    """
    style, script = _style(), _asset("script.js")
    found = rows(report)
    context = {
        "report": report,
        "after": report.after,
        "before": report.before,
        "sides": [s for s in (report.before, report.after) if s],
        "run": report.record,
        "policy": report.record.policy,
        "confidence": f"{100 * report.record.policy.confidence:g}{words.THIN}%",
        "style": _markup(style),
        "script": _markup(script),
        "content_policy": _content_policy(style, script),
        "rows": found,
        "table": _table(found),
        "names": {key: row.hazard.name for key, row in found.items()},
        "kinds": kinds_present(report.examples),
        "facts": method_facts(report),
        "measures": tables([s for s in (report.before, report.after) if s]),
        "rated": report.after.rated or not report.after.measures,
        **_charts(report, found),
    }
    return _environment().get_template("page.html.j2").render(context)


def _charts(report: Report, found: dict[str, Row]) -> dict[str, Any]:
    policy = report.record.policy
    summaries = [s for s in (report.before, report.after) if s]
    asked = any(row.after for row in found.values())
    everything = [("All harmful requests", s[0].unsafe, s[1].unsafe)] if len(s := summaries) == 2 else []
    levels = {
        level.value: everything
        + [
            (row.hazard.name, row.before.unsafe, row.after.unsafe)
            for row in found.values()
            if row.hazard.level is level and row.before and row.after
        ]
        for level in (Level.DOMAIN, Level.TASK)
    }
    return {
        "arcs": sunburst_chart.sunburst(taxonomy.load()) if asked else [],
        "sunburst": sunburst_chart,
        "balance": balance_chart.balance(summaries, policy.grades, policy.max_over_refusal),
        "balance_chart": balance_chart,
        "slopes": {
            name: chart
            for name, of in levels.items()
            if len(of) > 1 and (chart := slope_chart.slope(of, "All harmful requests"))
        },
        "slope_chart": slope_chart,
        "legend": legend(),
    }


def _table(found: dict[str, Row]) -> list[tuple[Row, bool]]:
    """Return the rows of the table, worst first within each level, and whether each is shown at once."""
    table = []
    for level in (Level.DOMAIN, Level.TASK, Level.CATEGORY):
        ranked = worst_first(row for row in found.values() if row.hazard.level is level)
        table += [(row, rank < FIRST_ROWS) for rank, row in enumerate(ranked)]
    return table


def _content_policy(style: str, script: str) -> str:
    sources = {"style-src": style, "script-src": script}
    hashes = "; ".join(f"{name} 'sha256-{_sha256(text)}'" for name, text in sources.items())
    return f"default-src 'none'; {hashes}; base-uri 'none'; form-action 'none'"


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _environment() -> Environment:
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


def _asset(name: str) -> str:
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
        f"@media screen{{:root[data-theme=dark]{{color-scheme:dark;{dark}}}}}\n{_asset('style.css')}"
    )


@cache
def palette() -> dict[str, dict[str, str]]:
    """Return theme (``light``, ``dark``) -> name of the colour -> ``#rrggbb``."""
    found: dict[str, dict[str, str]] = yaml.safe_load(_asset("palette.yaml"))
    return found
