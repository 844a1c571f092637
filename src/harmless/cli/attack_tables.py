"""Tables of a campaign beside the main one: budgets, hazards, transfer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from harmless.cli.console import out, percent

if TYPE_CHECKING:
    from harmless.attacks import Results
    from harmless.attacks.by_hazard import ByHazard
    from harmless.attacks.reached import Middle
    from harmless.attacks.transfer import Transfer
    from harmless.check import Rate


def middle(found: Middle, digits: str = "g") -> str:
    """Return a median with its limits below, where there are some."""
    if found.value is None:
        return "-"
    limits = "" if found.low is None else f"\n[dim]{found.low:{digits}}–{found.high:{digits}}[/]"
    return f"{found.value:{digits}}{limits}"


def _whole(found: Rate) -> str:
    limits = f"\n[dim]{100 * found.low:.0f}–{100 * found.high:.0f}[/]"
    return "-" if found.rate is None else f"{100 * found.rate:.0f} %{limits}"


def _score(found: Rate) -> str:
    limits = f"\n[dim]{found.low:.2f}–{found.high:.2f}[/]"
    return "-" if found.rate is None else f"{found.rate:.2f}{limits}"


def show_budgets(found: Results) -> None:
    """Print success by budget, what the first success took, and how different the successful prompts are."""
    table = Table(title="Within so many calls an objective", title_justify="left")
    table.add_column("attack", overflow="fold")
    budgets = list(found.attacks[0].at)
    paid = any(each.cost_usd for each in found.attacks)
    for column in (*budgets, "area", "tokens", *(["$"] if paid else []), "self-BLEU\ndispersion"):
        table.add_column(column, justify="right")
    for each in found.attacks:
        varied = each.variety
        table.add_row(
            escape(each.name),
            *(_whole(each.at[budget]) for budget in budgets),
            _score(each.area),
            middle(each.to_success.tokens, ".0f"),
            *([middle(each.to_success.cost_usd, ".2g")] if paid else []),
            f"{varied.self_bleu:.2f}\n{varied.dispersion:.2f}" if varied else "-",
        )
    out.print(table)
    out.print(
        "area: under the curve of success over the logarithm of the calls, 1 is success with the first; tokens"
        + (" and $" if paid else "")
        + ": median until the first success; self-BLEU falls and dispersion grows with variety."
    )


def show_transfer(found: Transfer) -> None:
    """Print what of another run's successes succeeded again."""
    table = Table(
        title=f"Successes of run {found.source} ({escape(found.source_target)}), said again",
        title_justify="left",
    )
    table.add_column("found by", overflow="fold")
    for column in ("succeed again", "of"):
        table.add_column(column, justify="right")
    for name, rate in found.attacks.items():
        table.add_row(escape(name), percent(rate), str(rate.n))
    table.add_row("[bold]all[/]", percent(found.rate), str(found.rate.n))
    table.add_row("objectives reached again", percent(found.objectives), str(found.objectives.n))
    out.print(table)
    for name, both in found.paired.items():
        points = f"{100 * both.difference:+.1f} points ({100 * both.low:+.1f} to {100 * both.high:+.1f})"
        out.print(
            f"{escape(name)} itself, on the {both.pairs} objectives of both runs: {points}, p = {both.p:.2g}."
        )


def show_by_hazard(found: ByHazard) -> None:
    """Print the success of each attack by hazard."""
    title = f"{escape(found.target)}: success by {found.by} (run {found.run})"
    table = Table(title=title, title_justify="left")
    table.add_column(found.by, overflow="fold")
    for column in ("n", "any", *map(escape, found.attacks)):
        table.add_column(column, justify="right", overflow="fold")
    for row in found.rows:
        rates = (percent(row.attacks[name]) if name in row.attacks else "-" for name in found.attacks)
        table.add_row(escape(row.name), str(row.objectives), percent(row.any), *rates)
    out.print(table)
    out.print("any: reached by at least one of the attacks.")
