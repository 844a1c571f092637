"""``harmless check``."""

from __future__ import annotations

from pathlib import Path

import anyio

from harmless.check import Budget, CheckOptions, Summary, load_judges, load_policy
from harmless.check import check as run_check
from harmless.cli.console import err, live, print_json, show_plan, show_summary
from harmless.cli.options import Asking, Workspace, open_store
from harmless.data import load_suite


def check(
    target: str = "embedded",
    /,
    *,
    suite: str = "standard",
    path: Path | None = None,
    policy: Path | None = None,
    limit: int | None = None,
    samples: int = 1,
    judge: str = "judge",
    stop_early: bool = False,
    budget: str | None = None,
    fresh: bool = False,
    out: Path | None = None,
    json: bool = False,
    workspace: Workspace = None,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> None:
    """Measure how harmful a target is: unsafe rate and over-refusal, by hazard, with intervals.

    The same command goes on with a run that was cut off, and shows a finished one.

    Args:
        target: embedded, embedded:FILE.gguf, openai:MODEL, anthropic:MODEL, hf:PATH, guarded:GUARD:TARGET,
            scripted:FILE.
        suite: quick, standard, twins, a set of `harmless data list`, or a JSONL or CSV file with the columns
            prompt, expect, hazard.
        path: read the set from this file (or pattern) in its published schema instead of the hub.
        policy: YAML file with hazards, thresholds and grades; see `harmless policy`.
        limit: ask about so many prompts, sampled evenly over the hazards.
        samples: ask each prompt so often, with different seeds.
        judge: the guard that judges the replies.
        stop_early: stop a hazard once a confidence sequence settles its grade.
        budget: stop after e.g. 500calls, 10m, 2usd.
        fresh: start a new run although this one is done.
        out: write report.html and report.json into this folder.
        json: print one JSON document instead of tables.
    """
    rules = load_policy(policy)
    prompts = load_suite(suite, path)
    prompts = prompts if limit is None else prompts.limited(limit, asking.seed)
    judges = load_judges(judge, rules, prompts)

    asked = asking.target(target, rules)
    options = CheckOptions(
        sampling=asking.sampling(asked, prompts),
        samples=samples,
        budget=Budget.parse(budget),
        stop_early=stop_early,
        fresh=fresh,
    )

    async def run() -> Summary:
        try:
            with live("checking", quiet=json) as observe:
                return await run_check(
                    asked, prompts, rules, store, judges, options, started=show_plan, observe=observe
                )
        finally:
            await asked.aclose()

    with open_store(workspace) as store:
        summary = anyio.run(run)
        if out:
            from harmless import report

            for path in report.write(store, summary.run, out=out):
                err.print(f"Wrote {path}")
    if json:
        from harmless.report import check_document

        print_json(check_document(summary))
    else:
        show_summary(summary)
