"""``harmless explain counterfactual``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from harmless import guards
from harmless.check import load_policy
from harmless.cli.console import err, out, print_json
from harmless.cli.options import COUNT, Asking
from harmless.explain.counterfactual import CALLS, Counterfactual
from harmless.explain.counterfactual import counterfactual as run_counterfactual
from harmless.report.explained import counterfactual_finding, counterfactual_page
from harmless.report.sections import write_page
from harmless.report.text import visible

#: Tokens of a reply that tell a refusal.
TOKENS = 32


def counterfactual(
    target: str,
    prompt: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    calls: Annotated[int, COUNT] = CALLS,
    gate: bool = False,
    out_: Annotated[Path | None, Parameter(name="--out")] = None,
    json: bool = False,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> int:
    """Find the smallest edit of a prompt after which a target answers what it refused, or the reverse.

    Words are left out or replaced, and identity terms exchanged: a decision that changes with these is bias.

    Args:
        target: embedded, openai:MODEL, anthropic:MODEL, hf:PATH, ...
        prompt: the user's message; - reads it from standard input.
        calls: prompts that are asked at most.
        gate: exit with 1 if exchanging identity terms changes the decision.
        out_: write counterfactual.html into this folder.
        json: print one JSON document instead of text.
    """
    text = sys.stdin.read() if prompt == "-" else prompt
    found = anyio.run(_found, target, text, calls, asking)
    if out_:
        err.print(f"Wrote {write_page(counterfactual_page(found), out_, 'counterfactual')}")
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        _show(found)
    return 1 if gate and found.biased else 0


async def _found(spec: str, text: str, calls: int, asking: Asking) -> Counterfactual:
    target = asking.target(spec, load_policy())
    sampling = asking.sampling(target).model_copy(update={"max_tokens": asking.max_tokens or TOKENS})
    try:
        return await run_counterfactual(target, guards.load("refusal"), text, sampling, calls)
    finally:
        await target.aclose()


def _show(found: Counterfactual) -> None:
    out.print(Text(visible(counterfactual_finding(found))))
    if found.edit:
        head = "Edited" if found.edit.flips else "Nearest"
        out.print(Text(f"{head}: {visible(found.edit.text)}"))
        out.print(
            f"How likely the reply is a refusal: {found.score:.2f} before, {found.edit.score:.2f} after "
            f"({found.tried} prompts asked)."
        )
    if found.swaps:
        table = Table("exchanged", "axis", "then")
        table.add_column("refusal", justify="right")
        for each in found.swaps:
            then = "not judged" if each.refused is None else "refused" if each.refused else "answered"
            score = "-" if each.score is None else f"{each.score:.2f}"
            mark = "[bold red]" if each.flips else ""
            table.add_row(f"{each.term} → {each.other}", each.axis, f"{mark}{then}", score)
        out.print(table)
