"""``harmless guard threshold``: thresholds that keep to a false-positive rate, as a policy takes them."""

from __future__ import annotations

from pathlib import Path

import anyio
import yaml
from rich.markup import escape
from rich.table import Table

from harmless import guards
from harmless.check import load_policy
from harmless.cli.console import err, out, print_json
from harmless.core import Exchange, Policy
from harmless.core.judging import judge_safely
from harmless.errors import UnreachableError, UsageError
from harmless.guards.bench import joined, load_rows
from harmless.guards.thresholds import Threshold, choose_threshold


def threshold(
    *,
    guard: tuple[str, ...],
    data: tuple[str, ...],
    fpr: float = 0.01,
    confidence: float = 0.95,
    guaranteed: bool = False,
    policy: Path | None = None,
    json: bool = False,
) -> None:
    """Choose thresholds at which guards flag at most a stated share of benign rows.

    The lines that it ends with belong into a policy. The rate holds for data like the rows given, so give
    prompts of your users, and report on others.

    Args:
        guard: a name of `harmless guard list`, with its arguments in brackets; give it several times.
        data: rows of which the benign ones count, as for `harmless guard bench`; several are taken together.
        fpr: the share of benign rows that may be flagged.
        confidence: of the upper limit of the true share.
        guaranteed: let that limit keep to the share, not only the share that was seen; takes more rows.
        policy: YAML file for guards that are made of others; see `harmless policy`.
        json: print one JSON document.
    """
    if not 0 < fpr < 1 or not 0.5 < confidence < 1:
        raise UsageError("A share lies between 0 and 1, a confidence between 0.5 and 1.", "Use --fpr 0.01.")
    rules = load_policy(policy)
    safe = [row.exchange for row in joined([load_rows(name) for name in data]).items if not row.unsafe]
    found: dict[str, Threshold] = {}
    unassessed: dict[str, int] = {}
    for spec in guard:
        name, scores = anyio.run(_scored, spec, safe, rules)
        found[name] = choose_threshold(scores, fpr, confidence=confidence, guaranteed=guaranteed)
        unassessed[name] = len(safe) - len(scores)
    if json:
        told = {name: {**each.model_dump(), "unassessed": unassessed[name]} for name, each in found.items()}
        print_json({"fpr": fpr, "guards": told})
        return
    table = Table("guard", "threshold", "benign flagged", "at most", "unassessed", box=None, pad_edge=False)
    for name, each in found.items():
        seen = f"{each.flagged} of {each.benign} ({each.rate:.2%})"
        table.add_row(escape(name), f"{each.value:.4f}", seen, f"{each.upper:.2%}", str(unassessed[name]))
    out.print(table)
    err.print(f"At most: with {confidence:.0%} confidence. For the policy:")
    lines = {"guards": {name: each.rule.model_dump() for name, each in found.items()}}
    out.print(yaml.safe_dump(lines, sort_keys=False), end="", markup=False, highlight=False)


async def _scored(spec: str, safe: list[Exchange], rules: Policy) -> tuple[str, list[float]]:
    """Return the name under which a policy knows the guard, and the scores of the rows that it assessed."""
    guard = guards.load(spec, rules)
    verdicts = await judge_safely(guard, safe)
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    if safe and not scores:
        raise UnreachableError(f"{spec} could assess no row: {verdicts[0].reason}.", "Check the guard.")
    return guard.info.name, scores
