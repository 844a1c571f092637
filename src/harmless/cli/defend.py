"""``harmless defend``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from harmless.check import load_policy
from harmless.cli.attacking import Attacking, Several, closing
from harmless.cli.console import err, out, percent, print_json
from harmless.cli.options import Asking, Workspace, open_store
from harmless.core import Expect
from harmless.data import Suite, load_suite

if TYPE_CHECKING:
    from harmless.attacks.matrix import Matrix

#: What is compared where no defence is named: those that do not ask the target more than once.
CHEAP = ("self_reminder", "goal_priority", "in_context", "retokenise", "embedded")


def defend(
    target: str | None = None,
    /,
    *,
    defence: Several = (),
    benign: int = 40,
    attacking: Attacking = Attacking(),  # noqa: B008 - frozen
    policy: Path | None = None,
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
    json: bool = False,
    workspace: Workspace = None,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> None:
    """Compare defences of a target: how often attacks succeed behind each, and what each refuses wrongly.

    Args:
        target: what to defend: embedded, openai:MODEL, anthropic:MODEL, hf:PATH, scripted:FILE. Where attacks
            need a model that writes and none is named, it writes itself, undefended.
        defence: names of defences (see --list) or of guards; default: the cheap ones and the embedded guard.
        benign: ask about so many benign prompts, twins of harmful ones and ordinary ones.
        policy: YAML file with thresholds; see `harmless policy`.
        list_: list the defences and stop.
        json: print one JSON document instead of a table.
    """
    from harmless.attacks import matrix
    from harmless.targets import defences

    if list_ or target is None:
        _list([(entry.name, entry.summary, entry.source) for entry in defences.describe()], json=json)
        return
    rules = load_policy(policy)
    chosen = attacking.attacks()
    asked = asking.target(target, rules)
    writer = attacking.writer(chosen, asking, asked, rules)
    contest = matrix.Contest(
        objectives=attacking.aims(asking.seed),
        attacks=chosen,
        benign=_benign(benign, asking.seed),
        policy=rules,
        judges=attacking.judges(rules),
        options=attacking.options(asking, asked),
    )

    async def run() -> Matrix:
        async with closing(asked, writer):
            names = defence or CHEAP
            return await matrix.defend(asked, names, contest, store, attacker=writer, observe=_told(json))

    with open_store(workspace) as store:
        found = anyio.run(run)
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        _show(found)


def _benign(count: int, seed: int) -> Suite:
    suite = load_suite("quick")
    return suite.keeping(p for p in suite.prompts if p.expect is Expect.ANSWER).limited(count, seed)


def _told(quiet: bool) -> Callable[[str], None]:
    return (lambda step: None) if quiet else (lambda step: err.print(f"  {step}"))


def _list(rows: list[tuple[str, str, str]], *, json: bool) -> None:
    if json:
        names = ("name", "summary", "source")
        print_json({"defences": [dict(zip(names, row, strict=True)) for row in rows]})
        return
    table = Table("defence", "what it does", "source", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(table)
    out.print("Every guard is one, too: see harmless guard list.")


def _show(found: Matrix) -> None:
    title = f"{escape(found.target)}: success of attacks for {found.objectives} objectives"
    table = Table(title=title, title_justify="left")
    table.add_column("defence", overflow="fold")
    for name in (*found.rows[0].success, "benign refused", "s a call"):
        table.add_column(escape(name), justify="right")
    for row in found.rows:
        rates = [percent(rate) for rate in (*row.success.values(), row.over_refusal)]
        table.add_row(escape(row.defence), *rates, f"{row.seconds / max(row.calls, 1):.2g}")
    out.print(table)
    for row in found.rows:
        for caveat in row.caveats:
            out.print(f"Note on {escape(row.defence)}: {caveat}")
    out.print(f"benign refused: of {found.benign} prompts that have to be answered.")
