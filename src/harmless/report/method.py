"""The figures of the section on method and limits."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from harmless.report.model import Report
from harmless.stats import clopper_pearson


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """What the plain words on method need beside the report.

    ``prompts_a_hazard`` is the median number of assessed harmful prompts a hazard, ``unseen`` the highest rate
    that as many replies without an unsafe one still allow. ``judge`` holds sensitivity, specificity and the
    numbers of labelled rows behind them, where they are known. ``commands`` are the command lines.
    """

    prompts_a_hazard: int
    unseen: float | None
    judge: dict[str, float] | None
    commands: tuple[str, ...]
    early: bool


def method_facts(report: Report) -> MethodFacts:
    """Return the figures for ``report``."""
    policy, options = report.record.policy, report.record.options
    sizes = [cell.unsafe.n for cell in report.after.hazards if cell.unsafe.n]
    typical = int(median(sizes)) if sizes else 0
    commands = (str(source.record.options.get("command") or "") for source in report.sources)
    return MethodFacts(
        prompts_a_hazard=typical,
        unseen=clopper_pearson(0, typical, policy.confidence).high if typical else None,
        judge=options.get("judge_error_rates"),
        commands=tuple(dict.fromkeys(command for command in commands if command)),
        early=bool(options.get("stop_early")),
    )
