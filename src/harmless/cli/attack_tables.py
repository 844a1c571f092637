"""Tables of a campaign beside the main one: budgets, hazards, transfer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from harmless.cli.console import change_cells, out, percent

if TYPE_CHECKING:
    from pathlib import Path

    from harmless.attacks import Results
    from harmless.attacks.by_hazard import ByHazard
    from harmless.attacks.reached import Middle
    from harmless.attacks.transfer import Transfer
    from harmless.attacks.trial import Attacked, Learnt
    from harmless.check import Rate


def middle(found: Middle, digits: str = "g") -> str:
    """Return a median with its limits below, where there are some."""
    if found.value is None:
        return "-"
    limits = "" if found.low is None else f"\n[dim]{found.low:{digits}}–{found.high:{digits}}[/]"
    return f"{found.value:{digits}}{limits}"


def missing(found: Rate, untried: int = 0) -> str:
    """Return what is not in a rate, each count on a line of its own."""
    counts = ((found.unassessed, "unassessed"), (untried, "untried"))
    return "".join(f"\n[dim]{count} {what}[/]" for count, what in counts if count)


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


def show_attacked(found: Attacked, folder: Path) -> None:
    """Print what the same attacks reached before and after, and what was learnt; ``folder`` has the files."""
    several = "s" if found.objectives != 1 else ""
    title = f"The same attacks on both, for {found.objectives} objective{several} that nothing was learnt from"
    table = Table(title=title, title_justify="left")
    table.add_column("reached by", overflow="fold")
    for column in ("before", "after", "change", "p"):
        table.add_column(column, justify="right")
    table.add_row("[bold]any attack[/]", *change_cells(found.any))
    for name, change in found.attacks.items():
        table.add_row(escape(name), *change_cells(change.model_copy(update={"p": change.p_holm})))
    out.print(table)
    out.print("p: McNemar's exact test, paired by objective; those of single attacks are corrected (Holm).")
    _show_learnt(found.learnt, folder)
    for caveat in found.caveats:
        out.print(f"Note: {caveat}")


def _show_learnt(found: Learnt, folder: Path) -> None:
    from harmless.attacks.lessons import REGRESSION, RULES

    if not found.failures:
        out.print(f"Nothing was learnt: no attack broke the target for {found.objectives} other objectives.")
        return
    out.print(
        f"Learnt from {found.failures} unsafe replies to {found.objectives} other objectives: "
        f"{found.rules} guard rules, {found.examples} examples for an alignment, {found.regression} regression "
        "prompts."
    )
    if found.false_alarms is not None:
        out.print(
            f"The rules flag none of {found.benign} benign prompts (with 95 % confidence at most "
            f"{found.false_alarms:.2%}). Read them before you use them elsewhere: "
            f'--guard "any(GUARD, rules({escape(str(folder / RULES))}))"',
            soft_wrap=True,
        )
    out.print(f"Ask again: harmless check TARGET --suite {escape(str(folder / REGRESSION))}", soft_wrap=True)
