"""``harmless explain attribution``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from harmless.cli.console import err, out, print_json
from harmless.explain.attribution import Attribution, Explained, Method, attribute
from harmless.report.explained import METHODS, attribution_finding, attribution_page, deletion_words
from harmless.report.sections import heat, write_page
from harmless.report.text import visible

#: Backgrounds of the steps of a heat map, for and against.
FOR = ("", "on #dbe9f4", "on #b5d3ea", "on #7fb3da", "on #3d86bd")

AGAINST = ("", "on #f8e0d8", "on #f0bda9", "on #e39176", "on #c75c3d")

#: Words whose scores are listed.
SHOWN = 8


def attribution(
    target: str,
    prompt: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    method: Annotated[tuple[Method, ...], Parameter(negative="")] = ("ablation",),
    reply: str | None = None,
    test: bool = True,
    out_: Annotated[Path | None, Parameter(name="--out")] = None,
    json: bool = False,
) -> None:
    """Show which words of a prompt drive a model to refuse it, or to give a certain reply.

    The measure is the log-odds that the reply opens with a refusal, in nats. Needs the extra hf, and explain
    for gradients.

    Args:
        target: embedded, hf:FOLDER, or a folder of a model or adapter.
        prompt: the user's message; - reads it from standard input.
        method: ablation (each word left out), gradient (input times gradient) or integrated (gradients);
            repeat it for several.
        reply: explain this reply instead of refusal.
        test: check whether what is explained falls sooner when words are left out in this order than in random
            ones.
        out_: write attribution.html into this folder.
        json: print one JSON document instead of a heat map.
    """
    from harmless.targets.local import open_model

    text = sys.stdin.read() if prompt == "-" else prompt
    found = attribute(open_model(target), text, method, reply=reply, test=test)
    if out_:
        err.print(f"Wrote {write_page(attribution_page(found), out_, 'attribution')}")
    if json:
        print_json(found.model_dump(mode="json"))
        return
    out.print(Text(visible(attribution_finding(found))))
    for each in found.attributions:
        out.print(f"[bold]{METHODS[each.method]}[/]")
        out.print(coloured(found.text, found.spans, each.scores), soft_wrap=True)
        out.print(Text(visible(strongest(found, each)), style="dim"))
        if each.deletion:
            out.print(deletion_words(each))


def strongest(found: Explained, by: Attribution) -> str:
    """Return the words with the largest scores, and these."""
    order = sorted(range(len(by.scores)), key=lambda i: -abs(by.scores[i]))[:SHOWN]
    return ", ".join(f"{found.text[slice(*found.spans[i])]} {by.scores[i]:+.2f}" for i in order)


def coloured(text: str, spans: Sequence[tuple[int, int]], scores: Sequence[float]) -> Text:
    """Return a text with its words coloured by their scores; blue speaks for, red against."""
    shown = Text()
    for piece, step, _ in heat("", text, spans, scores).pieces:
        ground = FOR[step] if step >= 0 else AGAINST[-step]
        shown.append(visible(piece), style=f"#18212d {ground}" if ground else "")
    return shown
