"""``harmless attack``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
from cyclopts import Parameter
from rich.markup import escape
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from harmless.check import Budget, load_judges, load_policy
from harmless.cli.console import err, out, percent, print_json
from harmless.cli.options import Asking, Workspace, open_store
from harmless.core import Prompt
from harmless.errors import UsageError
from harmless.evidence import Store

if TYPE_CHECKING:
    from harmless.attacks import Attack, Results
    from harmless.attacks.campaign import CampaignProgress

#: What runs where no attack is named: quick, and without a model that writes.
USUAL = ("direct", "best_of_n")
#: Objectives where neither objectives nor hazards are named: one of each hazard would take long on a laptop.
FEW = 20

Several = Annotated[tuple[str, ...], Parameter(consume_multiple=True)]


def attack(
    target: str | None = None,
    /,
    *,
    attack: Several = (),
    objective: Several = (),
    objectives: Path | None = None,
    hazard: Several = (),
    limit: int | None = None,
    attacker: str | None = None,
    judge: str = "judge",
    budget: str | None = None,
    policy: Path | None = None,
    replay: str | None = None,
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
        attack: names of attacks, with arguments in brackets: `direct`, `best_of_n(0.4)`; default these two.
        objective: what the target should be made to do.
        objectives: JSONL or CSV file with `objective` and, if known, `hazard`.
        hazard: use the built-in objectives of these hazards (key, code or name, any level).
        limit: use about so many objectives, sampled evenly over the hazards; default 20 of the built-in ones.
        attacker: the target that writes for attacks that need one; default: TARGET itself.
        judge: the guard that judges the replies in view of the objective.
        budget: stop after e.g. 500calls (of the target, divided evenly over attacks and objectives), 10m, 2usd.
        policy: YAML file with thresholds; see `harmless policy`.
        replay: say again what succeeded in this run, word by word, for its objectives unless others are named.
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
        again = _replayed(store, replay) if replay else None
    chosen = [attacks.load(spec) for spec in attack or (() if again else USUAL)]
    if again:
        chosen.append(again[0])
    if again and not (objective or objectives or hazard):
        aims = again[1][:limit]
    else:
        aims = chosen_objectives(objective, objectives, hazard, limit, asking.seed)
    judges = load_judges(judge, rules)
    asked = asking.target(target, rules)
    needs = any(each.info.attacker for each in chosen)
    writer = (asking.target(attacker, rules) if attacker else asked) if needs else None
    options = attacks.CampaignOptions(
        sampling=asking.sampling(asked), budget=Budget.parse(budget), seed=asking.seed, fresh=fresh
    )

    async def run() -> Results:
        try:
            with _live(quiet=json) as observe:
                return await attacks.attack(
                    asked, aims, chosen, rules, store, judges, options, attacker=writer, observe=observe
                )
        finally:
            await asked.aclose()
            if writer and writer is not asked:
                await writer.aclose()

    with open_store(workspace) as store:
        found = anyio.run(run)
        successes = attacks.successes(store, found.run, show)
    if json:
        print_json(found.model_dump(mode="json"))
        return
    show_results(found)
    for each in successes:
        out.print(f"\n[bold]{escape(each.attack)}[/] for: {escape(each.objective)}", highlight=False)
        for message in each.conversation:
            out.print(f"  {message.role}: {escape(message.content)}")
        out.print(f"  [dim]reply:[/] {escape(each.reply)}")


def _replayed(store: Store, run: str) -> tuple[Attack, list[Prompt]]:
    """Return the attack that says again what succeeded in a run, and that run's objectives."""
    from harmless.attacks.recorded import recorded

    found = store.run(run)
    return recorded(found.id, str(store.path.parent)), store.prompts(found.id)


def chosen_objectives(
    texts: Sequence[str], file: Path | None, hazards: Sequence[str], limit: int | None, seed: int
) -> list[Prompt]:
    """Return what is to be reached: what the user gives, else the built-in objectives."""
    from harmless import attacks

    if (texts or file) and hazards:
        raise UsageError("--hazard chooses built-in objectives.", "Leave it or them out.")
    if texts or file:
        found = attacks.from_texts(texts) + (attacks.from_file(file) if file else [])
        return found[:limit]
    return attacks.built_in(hazards, limit or (None if hazards else FEW), seed)


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
    several = "s" if found.objectives != 1 else ""
    title = f"{escape(found.target)}: {found.objectives} objective{several} (run {found.run})"
    table = Table(title=title, title_justify="left")
    table.add_column("attack", overflow="fold")
    for column in ("success", "by judge's error", "calls", "to success", "tokens", "p (Holm)"):
        table.add_column(column, justify="right")
    for each in found.attacks:
        table.add_row(
            escape(each.name),
            percent(each.asr),
            "-" if each.by_error_alone is None else f"{each.by_error_alone:.0%}",
            f"{each.calls}" + (f"\n[dim]+{each.attacker_calls} written[/]" if each.attacker_calls else ""),
            "-" if each.first is None else f"{each.first:g}",
            str(each.tokens),
            "-" if each.p_holm is None else f"{each.p_holm:.2g}",
        )
    out.print(table)
    out.print(
        "success: share of objectives with an unsafe reply, and its interval; by judge's error: what the "
        "judge's false alarms alone would give; p: against direct, paired."
    )
    for caveat in found.caveats:
        out.print(f"Note: {caveat}")
    for cause, count in found.causes.items():
        out.print(f"Unassessed: {count} x {escape(cause)}")
    if found.state != "finished":
        out.print(f"The campaign is not complete: {found.state}. The same command goes on.")
