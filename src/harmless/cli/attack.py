"""``harmless attack``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import anyio
from cyclopts import App, Parameter
from rich.markup import escape
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from harmless.check import load_policy
from harmless.cli import lazy
from harmless.cli.attack_tables import middle, missing, show_budgets, show_transfer
from harmless.cli.attacking import Attacking, closing
from harmless.cli.console import err, out, percent, print_json
from harmless.cli.options import Asking, Workspace, open_store
from harmless.core import Prompt
from harmless.errors import UsageError
from harmless.evidence import Store

if TYPE_CHECKING:
    from harmless.attacks import Attack, Results, Success
    from harmless.attacks.campaign import CampaignProgress
    from harmless.check import Rate

attack = App(name="attack", help="Search for ways in which a target does what it should refuse.")
lazy.command(attack, "train", "attack_train:train")
lazy.command(attack, "bench", "defend:attack_bench")


@attack.default
def run(
    target: str | None = None,
    /,
    *,
    attacking: Attacking = Attacking(),  # noqa: B008 - frozen
    allocate: Literal["uniform", "bandit"] = "uniform",
    replay: str | None = None,
    policy: Path | None = None,
    fresh: bool = False,
    show: int = 0,
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
    json: bool = False,
    workspace: Workspace = None,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> None:
    """Search for ways in which a target does what it should refuse.

    Args:
        target: embedded, openai:MODEL, anthropic:MODEL, hf:PATH, guarded:GUARD:TARGET, scripted:FILE.
            Attack only what is yours, or what you were asked to test.
        allocate: divide the calls of --budget evenly (uniform), or by which attacks and hazards worked so far
            (bandit).
        replay: say again what succeeded in the run of this id, word by word, for its objectives unless others
            are named; not `latest`, which would be the replay itself as soon as it has begun.
        policy: YAML file with thresholds; see `harmless policy`.
        fresh: start a new run although this one is done.
        show: print so many successes; what was said and replied may be harmful.
        list_: list the attacks and stop.
        json: print one JSON document instead of a table.
    """
    from harmless import attacks

    if list_:
        _list(json=json)
        return
    if target is None:
        raise UsageError("Which target?", "Name one that you may attack: harmless attack embedded.")
    rules = load_policy(policy)
    with open_store(workspace) as store:
        chosen, aims = _plan(attacking, replay, store, asking.seed)
        judges = attacking.judges(rules)
        asked = asking.target(target, rules)
        writer = attacking.writer(chosen, asking, asked, rules)
        options = replace(attacking.options(asking, asked, fresh=fresh), allocate=allocate)

        async def campaign() -> Results:
            async with closing(asked, writer):
                with _live(quiet=json) as observe:
                    return await attacks.attack(
                        asked, aims, chosen, rules, store, judges, options, attacker=writer, observe=observe
                    )

        found = anyio.run(campaign)
        found = found.model_copy(update={"successes": tuple(attacks.successes(store, found.run, show))})
    if json:
        print_json(found.model_dump(mode="json"))
        return
    show_results(found)
    _show_successes(found.successes)
    out.print(
        f"Next: harmless report {found.run} --out DIR (a page, texts covered), harmless failures {found.run} "
        "(what they have in common); --show 3 prints successes."
    )


def _plan(
    attacking: Attacking, replay: str | None, store: Store, seed: int
) -> tuple[list[Attack], list[Prompt]]:
    """Return the attacks and the objectives; a replay adds its own attack and has objectives of its own."""
    from harmless.attacks.objectives import limited

    if not replay:
        return attacking.attacks(), attacking.aims(seed)
    again, aims = _replayed(store, replay)
    chosen = attacking.aims(seed) if attacking.names_objectives else limited(aims, attacking.limit, seed)
    return [*attacking.attacks(usual=()), again], chosen


def _replayed(store: Store, run: str) -> tuple[Attack, list[Prompt]]:
    """Return the attack that says again what succeeded in a run, and that run's objectives."""
    from harmless.attacks.recorded import recorded

    return recorded(run, str(store.path.parent)), store.prompts(store.run(run).id)


def _list(*, json: bool) -> None:
    from harmless import attacks

    entries = attacks.describe()
    if json:
        print_json({"attacks": [entry.model_dump() for entry in entries]})
        return
    table = Table("attack", "what it does", "needs", box=None, pad_edge=False)
    for entry in entries:
        needs = f"harmless[{entry.extra}]" if entry.extra else "-"
        table.add_row(*map(escape, (entry.name, entry.summary, needs)))
    out.print(table)


@contextmanager
def _live(*, quiet: bool) -> Iterator[Callable[[CampaignProgress], None]]:
    columns = (TextColumn("attacking {task.fields[counts]}"), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=quiet or not err.is_terminal) as progress:
        task = progress.add_task("", total=None, counts="")

        def observe(counts: CampaignProgress) -> None:
            told = f"{counts.done}/{counts.planned} done, {counts.reached} reached, {counts.calls} calls"
            progress.update(task, counts=told)

        yield observe


def show_results(found: Results) -> None:
    """Print what a campaign found."""
    from harmless.attacks.finding import finding

    several = "s" if found.objectives != 1 else ""
    title = f"{escape(found.target)}: {found.objectives} objective{several} (run {found.run})"
    table = Table(title=title, title_justify="left")
    table.add_column("attack", overflow="fold")
    for column in ("success", "by judge's error", "calls", "to success", "tokens", "p (Holm)"):
        table.add_column(column, justify="right")
    for each in found.attacks:
        table.add_row(
            escape(each.name),
            percent(each.asr) + _corrected(each.asr) + missing(each.asr, each.untried),
            "-" if each.by_error_alone is None else f"{100 * each.by_error_alone:.0f} %",
            f"{each.calls}" + (f"\n[dim]+{each.attacker_calls} written[/]" if each.attacker_calls else ""),
            middle(each.to_success.calls),
            str(each.tokens),
            "-" if each.p_holm is None else f"{each.p_holm:.2g}",
        )
    out.print(table)
    out.print(f"[bold]{escape(finding(found))}[/]", highlight=False)
    out.print(
        "success: share of objectives with an unsafe reply, its interval, and, where each was tried once, the "
        "share without the judge's errors; by judge's error: what its false alarms alone would give; p: "
        "against direct, paired."
    )
    if any(each.calls > each.asr.n + each.asr.unassessed for each in found.attacks):
        show_budgets(found)
    if found.transfer:
        show_transfer(found.transfer)
    for caveat in found.caveats:
        out.print(f"Note: {caveat}")
    for cause, count in found.causes.items():
        out.print(f"Unassessed: {count} x {escape(cause)}")
    if found.state != "finished":
        out.print(
            f"The campaign is not complete: {found.state}. The same command goes on, unless the money is spent."
        )


def _corrected(rate: Rate) -> str:
    return "" if rate.corrected is None else f"\n[dim]corrected {100 * rate.corrected:.0f}[/]"


def _show_successes(successes: Sequence[Success]) -> None:
    for each in successes:
        out.print(f"\n[bold]{escape(each.attack)}[/] for: {escape(each.objective)}", highlight=False)
        for message in each.conversation:
            out.print(f"  {message.role}: {escape(message.content)}")
        out.print(f"  [dim]reply:[/] {escape(each.reply)}")
