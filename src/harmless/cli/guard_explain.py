"""``harmless guard explain``: what guards say of a text, and the smallest edit that changes it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter
from rich.markup import escape
from rich.text import Text

from harmless import guards
from harmless.check import load_policy
from harmless.cli.console import out, print_json
from harmless.core import Exchange, Outcome, Policy
from harmless.guards.flips import Edit, Explanation, Explanations, Span
from harmless.guards.flips import explain as run_explain
from harmless.report.text import visible

GUARDS = ("rules", "embedded")
UNREACHED = 3


def explain(
    prompt: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    reply: str | None = None,
    guard: tuple[str, ...] = GUARDS,
    policy: Path | None = None,
    calls: int | None = None,
    json: bool = False,
) -> int:
    """Show what guards say of a prompt or reply, which words they point at, the smallest edit that flips it.

    Args:
        prompt: the user's message; - reads it from standard input.
        reply: judge this reply to it instead.
        guard: a name of `harmless guard list`, with its arguments in brackets; give it several times.
        policy: YAML file with the thresholds; see `harmless policy`.
        calls: edits that each guard judges at most; default 600, or 60 where text leaves the machine.
        json: print one JSON document.
    """
    rules = load_policy(policy)
    exchange = Exchange.of(sys.stdin.read() if prompt == "-" else prompt, reply)
    found = anyio.run(_explained, guard, exchange, rules, calls)
    if json:
        print_json(Explanations(explanations=tuple(found)).model_dump(mode="json"))
    else:
        for each in found:
            _show(each)
    return UNREACHED if all(each.outcome is Outcome.UNASSESSED for each in found) else 0


async def _explained(
    specs: tuple[str, ...], exchange: Exchange, policy: Policy, calls: int | None
) -> list[Explanation]:
    loaded = {spec: guards.load(spec, policy) for spec in specs}
    return [await run_explain(spec, guard, exchange, policy, calls) for spec, guard in loaded.items()]


def _show(each: Explanation) -> None:
    if each.flagged is None or each.score is None:
        out.print(f"[bold]{escape(each.guard)}[/] unassessed: {escape(each.reason)}")
        return
    word = "[red]flagged[/]" if each.flagged else "[green]let pass[/]"
    out.print(f"[bold]{escape(each.guard)}[/] {word}, score {each.score:.3f}, threshold {each.threshold:.3f}")
    out.print(_marked(each.text, [spot.span for spot in each.spots if spot.span], "bold red"), soft_wrap=True)
    for spot in each.spots:
        where = f" “{escape(visible(each.text[slice(*spot.span)]))}”" if spot.span else ""
        out.print(f"  {spot.score:.2f} {escape(spot.name or 'no hazard')} [dim]{escape(spot.rule)}[/]{where}")
    if each.reason:
        out.print(f"  [dim]{escape(visible(each.reason))}[/]")
    if each.edit:
        _show_edit(each, each.edit)
    out.print()


def _show_edit(each: Explanation, edit: Edit) -> None:
    after = "passes" if each.flagged else "is flagged"
    if edit.flips and edit.smallest:
        head = f"Smallest edit: without this it {after}"
    elif edit.flips:
        head = f"Without this it {after}; a smaller edit was not found"
    elif each.flagged:
        head = "No edit that was tried lets it pass; nearest"
    else:
        head = "No single word flips it; nearest"
    words = ", ".join(f"“{escape(visible(word))}”" for word in edit.removed)
    out.print(f"  {head}: {words} (score {edit.score:.3f}, {each.tried} edits tried)")
    out.print(Text("  ").append_text(_marked(each.text, edit.spans, "strike dim")), soft_wrap=True)


def _marked(text: str, spans: Iterable[Span], style: str) -> Text:
    """Return the text with spans in a style; what would hide or reorder characters is shown as such."""
    marked = set[int]()
    for start, end in spans:
        marked.update(range(start, end))
    shown, at = Text(), 0
    while at < len(text):
        end = at + 1
        while end < len(text) and (end in marked) == (at in marked):
            end += 1
        shown.append(visible(text[at:end]), style=style if at in marked else "")
        at = end
    return shown
