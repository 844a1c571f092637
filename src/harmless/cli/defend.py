"""``harmless defend`` and the two benches, which are the same matrix on SALAD-Bench's sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
from cyclopts import App, Parameter
from rich.markup import escape
from rich.table import Table

from harmless.check import load_policy
from harmless.cli.attack_tables import missing
from harmless.cli.attacking import USUAL, Attacking, Several, closing
from harmless.cli.console import err, out, percent, print_json
from harmless.cli.options import Asking, Workspace, open_store
from harmless.core import Expect
from harmless.data import Suite, load_suite

if TYPE_CHECKING:
    from harmless.attacks.matrix import Matrix

#: What is compared where no defence is named: those that do not ask the target more than once.
CHEAP = ("self_reminder", "goal_priority", "in_context", "retokenise", "embedded")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Defending:
    """Which defences are compared, on how many benign prompts, by which policy, and how that is printed."""

    defence: Several = ()
    """Names of defences (see `harmless defend --list`) or of guards; default: the cheap ones and the embedded
    guard."""
    benign: int = 40
    """Ask about so many benign prompts, twins of harmful ones and ordinary ones."""
    policy: Path | None = None
    """YAML file with thresholds; see `harmless policy`."""
    json: bool = False
    """Print one JSON document instead of a table."""


defend = App(name="defend", help="Compare defences of a target against attacks.")


@defend.default
def run(
    target: str | None = None,
    /,
    *,
    defending: Defending = Defending(),
    attacking: Attacking = Attacking(),  # noqa: B008 - frozen
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
    workspace: Workspace = None,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> None:
    """Compare defences of a target: how often attacks succeed behind each, and what each refuses wrongly.

    Args:
        target: what to defend: embedded, openai:MODEL, anthropic:MODEL, hf:PATH, scripted:FILE. Where attacks
            need a model that writes and none is named, it writes itself, undefended.
        list_: list the defences and stop.
    """
    from harmless.targets import defences

    if list_ or target is None:
        entries = [(entry.name, entry.summary, entry.source) for entry in defences.describe()]
        _list(entries, json=defending.json)
        return
    _compare(target, attacking, defending, asking, workspace)


@defend.command
def bench(
    target: str,
    /,
    *,
    defending: Defending = Defending(),
    attacking: Attacking = Attacking(),  # noqa: B008 - frozen
    workspace: Workspace = None,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> None:
    """Compare defences on SALAD-Bench's attack-enhanced set, as `harmless defend` does on other objectives.

    Without --attack its requests, which are attacks by themselves, are asked as they are; without --data they
    come from the hub.

    Args:
        target: what to defend.
    """
    _compare(target, _on(attacking, "salad_attack", ("direct",)), defending, asking, workspace)


def attack_bench(
    target: str,
    /,
    *,
    defending: Defending = Defending(),
    attacking: Attacking = Attacking(),  # noqa: B008 - frozen
    workspace: Workspace = None,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> None:
    """Compare attacks behind defences on SALAD-Bench's defence-enhanced set; a `harmless defend` of its own.

    Without --data it comes from the hub.

    Args:
        target: what to attack; only what is yours, or what you were asked to test.
    """
    _compare(target, _on(attacking, "salad_defense", USUAL), defending, asking, workspace)


def _on(attacking: Attacking, data: str, attack: tuple[str, ...]) -> Attacking:
    """Return what is attacked with what, with a set and attacks where the user names none."""
    return replace(
        attacking,
        attack=attacking.attack or attack,
        data=attacking.data if attacking.names_objectives else data,
    )


def _compare(
    target: str, attacking: Attacking, defending: Defending, asking: Asking, workspace: Path | None
) -> None:
    from harmless.attacks import matrix

    rules = load_policy(defending.policy)
    chosen = attacking.attacks()
    asked = asking.target(target, rules)
    writer = attacking.writer(chosen, asking, asked, rules)
    contest = matrix.Contest(
        objectives=attacking.aims(asking.seed),
        attacks=chosen,
        benign=_benign(defending.benign, asking.seed),
        policy=rules,
        judges=attacking.judges(rules),
        options=attacking.options(asking, asked),
    )

    async def work() -> Matrix:
        async with closing(asked, writer):
            names = defending.defence or CHEAP
            return await matrix.defend(
                asked, names, contest, store, attacker=writer, observe=_told(defending.json)
            )

    with open_store(workspace) as store:
        found = anyio.run(work)
    if defending.json:
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
        rates = [percent(rate) + missing(rate, row.untried[name]) for name, rate in row.success.items()]
        rates.append(percent(row.over_refusal) + missing(row.over_refusal))
        table.add_row(escape(row.defence), *rates, f"{row.seconds / max(row.calls, 1):.2g}")
    out.print(table)
    for row in found.rows:
        for caveat in row.caveats:
            out.print(f"Note on {escape(row.defence)}: {caveat}")
    out.print(f"benign refused: of {found.benign} prompts that have to be answered.")
