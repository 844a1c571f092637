"""Options of the commands that check a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from harmless.check import Budget, CheckOptions, load_judges, load_policy
from harmless.cli.options import Asking
from harmless.core import Guard, Policy, Target
from harmless.data import Suite, load_suite


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a check takes: target, prompts, policy, judges and how it is asked."""

    target: Target
    suite: Suite
    policy: Policy
    judges: Mapping[str, Guard]
    options: CheckOptions


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Checking:
    """What a target is asked, and who judges."""

    suite: str = "standard"
    """quick, standard, twins, a set of `harmless data list`, or a JSONL or CSV file with the columns prompt,
    expect, hazard."""
    path: Path | None = None
    """Read the set from this file (or pattern) in its published schema instead of the hub."""
    policy: Path | None = None
    """YAML file with hazards, thresholds and grades; see `harmless policy`."""
    limit: int | None = None
    """Ask about so many prompts, sampled evenly over the hazards."""
    judge: str = "judge"
    """The guard that judges the replies."""
    stop_early: bool = False
    """Stop a hazard once a confidence sequence settles its grade."""
    budget: str | None = None
    """Stop each check after e.g. 500calls, 10m, or 2usd (with --input-price and --output-price)."""
    fresh: bool = False
    """Start new runs although these are done."""

    def prepared(self, target: str, asking: Asking, samples: int = 1) -> Prepared:
        """Open what is named, with ``samples`` replies to each prompt.

        Raises:
            HarmlessError: a name is unknown, a file is bad, or an option is wrong.
        """
        rules = load_policy(self.policy)
        suite = load_suite(self.suite, self.path)
        suite = suite if self.limit is None else suite.limited(self.limit, asking.seed)
        judges = load_judges(self.judge, rules, suite)
        asked = asking.target(target, rules)
        options = CheckOptions(
            sampling=asking.sampling(asked, suite),
            samples=samples,
            budget=Budget.parse(self.budget),
            stop_early=self.stop_early,
            fresh=self.fresh,
        )
        return Prepared(asked, suite, rules, judges, options)
