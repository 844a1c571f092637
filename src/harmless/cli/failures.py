"""``harmless failures``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from rich.markup import escape
from rich.table import Table

from harmless import taxonomy
from harmless.check import load_judges, load_policy
from harmless.cli.console import out, print_json
from harmless.cli.options import Asking, Workspace, open_store
from harmless.errors import UsageError
from harmless.evidence import Store

if TYPE_CHECKING:
    from harmless.attacks.analysis import Analysis
    from harmless.attacks.shorten import Shortening

#: Hazards that are named where more budget pays.
HAZARDS = 5


def failures(
    run: str = "latest",
    /,
    *,
    encoder: str = "words",
    shorten: int = 0,
    target: str | None = None,
    calls: int = 60,
    judge: str = "judge",
    policy: Path | None = None,
    show: bool = False,
    json: bool = False,
    workspace: Workspace = None,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> None:
    """Analyse the failures of a check or an attack: their modes, what is unseen, where more budget pays.

    Needs the extra train.

    Args:
        run: id of the run, or its beginning, or `latest`.
        encoder: what failures are alike by: words, minilm, or the folder of a sentence encoder (extra hf).
        shorten: for so many modes, the largest first, look for the shortest prompt that still fails.
        target: whom to ask for that; the target of the run, or another one.
        calls: how often it may be asked for one prompt.
        judge: the guard that judges its replies.
        policy: YAML file with thresholds; see `harmless policy`.
        show: print the shortest prompts themselves; they may be harmful.
        json: print one JSON document instead of tables; without --show it has no text of prompts.
    """
    from harmless.attacks.analysis import analyse
    from harmless.data.similar import encoder as named

    if shorten and target is None:
        raise UsageError("Whom to ask for shorter prompts?", "Name the target of the run: --target embedded.")
    if shorten < 0:
        raise UsageError(f"--shorten {shorten} is no number of modes.", "Give 1 or more.")
    with open_store(workspace) as store:
        found = analyse(store, run, named(encoder))
        if shorten and target:
            from harmless.attacks.shorten import Shortening

            rules = load_policy(policy)
            asked = asking.target(target, rules)
            guard = load_judges(judge, rules)["harm"]
            how = Shortening(asked, guard, rules, asking.sampling(asked), calls)
            found = anyio.run(_shortened, store, found, shorten, how)
    if not show:
        covered = (each.model_copy(update={"text": ""}) for each in found.shortest)
        found = found.model_copy(update={"shortest": tuple(covered)})
    if json:
        print_json(found.model_dump(mode="json"))
        return
    _show(found)
    _show_short(found)


async def _shortened(store: Store, found: Analysis, most: int, how: Shortening) -> Analysis:
    from harmless.attacks.failures import failures as failures_of
    from harmless.attacks.shorten import shorten, shortest

    known = failures_of(store, found.run)
    try:
        chosen = [shortest(known, mode.attempts) for mode in found.modes[:most]]
        short = await shorten(chosen, how, store, found.run)
    finally:
        await how.target.aclose()
    return found.model_copy(update={"shortest": tuple(short)})


def _show(found: Analysis) -> None:
    several = "s" if len(found.modes) != 1 else ""
    title = (
        f"{escape(found.target)}: {found.failures} failures of {found.objectives} objectives in "
        f"{len(found.modes)} mode{several} (run {found.run})"
    )
    out.print(title)
    table = Table()
    table.add_column("", justify="right")
    table.add_column("set apart by", overflow="fold")
    table.add_column("failures", justify="right")
    table.add_column("objectives", justify="right")
    table.add_column("hazards")
    table.add_column("attacks", overflow="fold")
    for number, mode in enumerate(found.modes, 1):
        hazards = {_name(key): count for key, count in mode.hazards.items()}
        table.add_row(
            str(number),
            escape(", ".join(mode.terms) or "-"),
            str(mode.failures),
            str(mode.objectives),
            escape(_counted(hazards, "hazards")),
            escape(_counted(mode.attacks, "attacks")),
        )
    if found.modes:
        out.print(table)
    if found.alone:
        out.print(f"{found.alone} more failures are like no others.")
    hidden = found.unseen
    if hidden.mass is not None:
        out.print(
            f"Unseen: the next failing objective is of a new kind with a chance of {hidden.mass:.0%} "
            f"({hidden.low:.0%} to {hidden.high:.0%}); of at least {hidden.kinds:.0f} kinds {hidden.seen} were "
            "seen. Two failures that are alike are a kind, and so is one that is like no others."
        )
    _show_payoff(found)


def _show_payoff(found: Analysis) -> None:
    if not found.payoff:
        return
    table = Table(title="Where more budget pays most", title_justify="left")
    table.add_column("hazard", overflow="fold")
    for column in ("not reached", "late calls", "successes", "a call", "next 100 calls"):
        table.add_column(column, justify="right")
    for row in found.payoff[:HAZARDS]:
        rate = f"{row.rate:.1%}\n[dim]{100 * row.low:.1f}–{100 * row.high:.1f}[/]"
        cells = (str(row.open), str(row.late), str(row.found), rate, f"+{row.gain:.1f}")
        table.add_row(escape(row.name), *cells)
    out.print(table)


def _show_short(found: Analysis) -> None:
    for number, each in enumerate(found.shortest, 1):
        if each.again is None:
            out.print(f"Mode {number}: the reply to the prompt could not be assessed this time.")
            continue
        if not each.again:
            out.print(f"Mode {number}: the prompt did not succeed again, so nothing could be left out.")
            continue
        end = "no word can be left out" if each.minimal else "there may be a shorter one"
        out.print(f"Mode {number}: {each.left} of {each.words} words suffice; {end} ({each.calls} calls).")
        if each.text:
            out.print(f"  {escape(each.text)}", highlight=False)
    if found.shortest and not any(each.text for each in found.shortest):
        out.print("The prompts themselves are in the evidence; --show prints them.")


def _name(hazard: str) -> str:
    return taxonomy.load().hazard(hazard).name if hazard else "no hazard"


def _counted(counts: dict[str, int], what: str) -> str:
    """Return the largest of the counts with how many others there are; their number where none stands out."""
    name, most = next(iter(counts.items()))
    others = f", {len(counts) - 1} more" if len(counts) > 1 else ""
    return f"{len(counts)} {what}" if most < sum(counts.values()) / 5 else f"{name} {most}{others}"
