"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

from typing import Any

from harmless import taxonomy
from harmless.report import words
from harmless.report.charts import balance as balance_chart
from harmless.report.charts import slope as slope_chart
from harmless.report.charts import sunburst as sunburst_chart
from harmless.report.charts.ramp import legend
from harmless.report.examples import kinds_present
from harmless.report.levels import Row, rows, worst_first
from harmless.report.measures import tables
from harmless.report.method import method_facts
from harmless.report.model import Report
from harmless.report.shell import render
from harmless.taxonomy import Level

#: Hazards that the table shows before all are asked for.
FIRST_ROWS = 16


def render_html(report: Report) -> str:
    """Return the report as one HTML page: no network, no other file, both themes, fit to print.

    What others wrote (prompts, replies, names, causes) is escaped, and characters that hide or reorder text are
    shown as such; harmful text is sealed until it is asked for. The page's policy allows no script and style
    but its own, by their hashes.
    """
    found = rows(report)
    context = {
        "report": report,
        "after": report.after,
        "before": report.before,
        "sides": [s for s in (report.before, report.after) if s],
        "run": report.record,
        "policy": report.record.policy,
        "confidence": f"{100 * report.record.policy.confidence:g}{words.THIN}%",
        "rows": found,
        "table": _table(found),
        "names": {key: row.hazard.name for key, row in found.items()},
        "kinds": kinds_present(report.examples),
        "facts": method_facts(report),
        "measures": tables([s for s in (report.before, report.after) if s]),
        "rated": report.after.rated or not report.after.measures,
        **_charts(report, found),
    }
    return render("page.html.j2", context)


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
