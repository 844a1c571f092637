"""Pages of explanations: sections of heat maps, plots, tables and covered texts, in one template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harmless.report.charts import layers as layers_chart
from harmless.report.charts.layers import Plot
from harmless.report.files import replace
from harmless.report.shell import render

#: Steps of a heat map on either side of nothing.
STEPS = 4


@dataclass(frozen=True, slots=True)
class Heat:
    """A text in pieces, each with a step from -4 (against) to 4 (for) and a title."""

    name: str
    pieces: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """A table: names of its columns and its cells; the first column heads the rows."""

    head: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """A text that somebody wrote; ``covered`` until it is asked for."""

    name: str
    text: str
    covered: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page; what it has is shown in the order of its fields."""

    title: str
    lead: str = ""
    quotes: tuple[Quote, ...] = ()
    heats: tuple[Heat, ...] = ()
    covered: bool = False
    plot: Plot | None = None
    rows: Rows | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """What is explained, of whom, the finding in a sentence, and the sections."""

    kind: str
    about: str
    finding: str
    sections: tuple[Section, ...]


def render_page(page: Page) -> str:
    """Return an explanation as one HTML page."""
    context = {"page": page, "chart": layers_chart}
    return render("explain.html.j2", context, styles=("guard_bench.css", "explain.css"))


def write_page(page: Page, out: Path, name: str) -> Path:
    """Write ``NAME.html`` into the folder ``out``; UsageError if it cannot be written."""
    return replace(out, {f"{name}.html": render_page(page)})[0]


def heat(name: str, text: str, spans: Sequence[tuple[int, int]], scores: Sequence[float]) -> Heat:
    """Return the heat map of a text whose ``spans`` have ``scores``; the largest has the strongest colour."""
    pieces, at = [], 0
    for (start, end), step, score in zip(spans, steps(scores), scores, strict=True):
        if start > at:
            pieces.append((text[at:start], 0, ""))
        pieces.append((text[start:end], step, f"{score:+.2f}"))
        at = end
    if at < len(text):
        pieces.append((text[at:], 0, ""))
    return Heat(name, tuple(pieces))


def steps(scores: Sequence[float]) -> list[int]:
    """Return each score as a step of a heat map, -4 to 4, in proportion to the largest."""
    most = max(map(abs, scores), default=0.0) or 1.0
    return [round(STEPS * score / most) for score in scores]
