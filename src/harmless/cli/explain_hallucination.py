"""``harmless explain hallucination``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from harmless.check import load_policy
from harmless.cli.console import err, out, print_json
from harmless.cli.options import COUNT, Asking
from harmless.explain.claims import SAMPLES, Claims, claims, with_tokens
from harmless.guards.support import Nli
from harmless.report.sections import write_page
from harmless.report.sources import claims_finding, claims_page
from harmless.report.text import visible


def hallucination(
    target: str,
    prompt: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    reply: str | None = None,
    samples: Annotated[int, COUNT] = SAMPLES,
    nli: str | None = None,
    inside: bool = False,
    out_: Annotated[Path | None, Parameter(name="--out")] = None,
    json: bool = False,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> None:
    """Show which claims of a reply a target would not make again, and the words and tokens behind them.

    The target is asked several times at temperature 1; each sentence gets its doubt and its semantic entropy.

    Args:
        target: embedded, openai:MODEL, anthropic:MODEL, hf:PATH, ...
        prompt: the user's message; - reads it from standard input.
        reply: the reply to look at; by default the target's own.
        samples: how often it is asked again.
        nli: folder of a model of natural language inference (extra hf); without it words are compared.
        inside: also show how much each token surprised the model, where it is a local one (extra hf).
        out_: write claims.html into this folder.
        json: print one JSON document instead of a table.
    """
    text = sys.stdin.read() if prompt == "-" else prompt
    found = anyio.run(_claims, target, text, reply, samples, nli, asking)
    if inside:
        from harmless.targets.local import open_model

        found = with_tokens(found, open_model(target))
    if out_:
        err.print(f"Wrote {write_page(claims_page(found), out_, 'claims')}")
    if json:
        print_json(found.model_dump(mode="json"))
        return
    out.print(claims_finding(found))
    table = Table("claim")
    for column in ("doubt", "entropy", "meanings", *(["surprisal"] if inside else [])):
        table.add_column(column, justify="right")
    for each in found.claims:
        told = [
            "-" if each.doubt is None else f"{each.doubt:.2f}",
            f"{each.entropy:.2f}",
            f"{each.meanings}/{found.samples}",
        ]
        told += ["-" if each.surprisal is None else f"{each.surprisal:.2f}"] if inside else []
        table.add_row(_marked(each.text, each.span[0], found), *told)
    out.print(table)


async def _claims(
    spec: str, text: str, reply: str | None, samples: int, nli: str | None, asking: Asking
) -> Claims:
    target = asking.target(spec, load_policy())
    by = Nli(nli) if nli else None
    try:
        return await claims(target, text, asking.sampling(target), reply=reply, samples=samples, nli=by)
    finally:
        await target.aclose()


def _marked(text: str, start: int, found: Claims) -> Text:
    """Return a claim with the words red that most other replies lack."""
    shown = Text(visible(text))
    if len(shown.plain) != len(text):
        return shown
    for claim in found.claims:
        for word in claim.words:
            if claim.span[0] == start and word.missing >= 0.5:
                shown.stylize("bold red", word.span[0] - start, word.span[1] - start)
    return shown
