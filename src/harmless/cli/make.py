"""``harmless make``."""

from __future__ import annotations

from pathlib import Path

import anyio

from harmless.check import Budget, CheckOptions, load_judges, load_policy
from harmless.cli.console import live, print_json, show_comparison, show_plan
from harmless.cli.console import out as console
from harmless.cli.options import Asking, Workspace, open_store
from harmless.data import load_suite
from harmless.loop import Made, make_harmless


def make(
    target: str = "embedded",
    /,
    *,
    guard: str = "embedded",
    suite: str = "standard",
    path: Path | None = None,
    policy: Path | None = None,
    limit: int | None = None,
    judge: str = "judge",
    stop_early: bool = False,
    budget: str | None = None,
    fresh: bool = False,
    out: Path = Path("harmless-report"),
    json: bool = False,
    workspace: Workspace = None,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> None:
    """Make a target harmless and prove it: check, guard, check again on the same prompts, report.

    The same command goes on where it was cut off.

    Args:
        target: embedded, embedded:FILE.gguf, openai:MODEL, anthropic:MODEL, hf:PATH, scripted:FILE.
        guard: the guard to put in front; see `harmless guard list`.
        suite: quick, standard, twins, a set of `harmless data list`, or a JSONL or CSV file.
        path: read the set from this file (or pattern) in its published schema instead of the hub.
        policy: YAML file with hazards, thresholds and grades; see `harmless policy`.
        limit: ask about so many prompts, sampled evenly over the hazards.
        judge: the guard that judges the replies.
        stop_early: stop a hazard once a confidence sequence settles its grade.
        budget: stop each check after e.g. 500calls, 10m, 2usd.
        fresh: start new runs although these are done.
        out: folder for report.html and report.json.
        json: print one JSON document instead of tables.
    """
    rules = load_policy(policy)
    prompts = load_suite(suite, path)
    prompts = prompts if limit is None else prompts.limited(limit, asking.seed)
    judges = load_judges(judge, rules, prompts)

    asked = asking.target(target, rules)
    options = CheckOptions(
        sampling=asking.sampling(asked, prompts),
        budget=Budget.parse(budget),
        stop_early=stop_early,
        fresh=fresh,
    )

    async def run() -> Made:
        try:
            with live("checking", quiet=json) as observe:
                return await make_harmless(
                    asked, guard, prompts, rules, store, judges, options,
                    out=out, started=show_plan, observe=observe,
                )  # fmt: skip
        finally:
            await asked.aclose()

    with open_store(workspace) as store:
        made = anyio.run(run)
    if json:
        from harmless.report import comparison_document

        print_json(comparison_document(made.comparison))
        return
    show_comparison(made.comparison)
    console.print(f"Report: {made.report}")
