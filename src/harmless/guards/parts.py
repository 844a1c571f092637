"""What the combinators share: guards as parts of a guard, scores on one scale, verdicts made one.

Scores of different guards compare only through their thresholds. So a part's score is *levelled* first: moved
piecewise linearly until its threshold lies at 0.5. Every combination then has the threshold 0.5, and its score
says the same as its outcome. Where a part's outcome contradicts its score, the outcome counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import anyio

from harmless.core import Exchange, Finding, Guard, GuardInfo, Outcome, Policy, Verdict, digest
from harmless.core.judging import judge_safely
from harmless.errors import UsageError
from harmless.guards import registry

LEVEL = 0.5
"""The threshold of every combination."""
_BELOW = math.nextafter(LEVEL, 0.0)


@dataclass(frozen=True)
class Part:
    """A guard inside a combination, with the threshold that the policy sets for it, if it does."""

    guard: Guard
    rule: float | None = None

    @property
    def info(self) -> GuardInfo:
        """The guard's."""
        return self.guard.info

    @property
    def threshold(self) -> float:
        """The policy's, or else the guard's own."""
        return self.info.threshold if self.rule is None else self.rule

    @property
    def identity(self) -> str:
        """Changes with the guard and with the policy's threshold for it."""
        return self.info.identity if self.rule is None else digest(self.info.identity, self.rule)

    def sees(self, exchange: Exchange) -> bool:
        """Whether the guard can judge what there is to judge: the reply if there is one, else the prompt."""
        return self.info.sees in ("both", "prompt" if exchange.reply is None else "reply")

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict | None]:
        """Return a verdict for each exchange that the guard can judge, None for the others."""
        seen = [i for i, exchange in enumerate(exchanges) if self.sees(exchange)]
        judged = await judge_safely(self.guard, [exchanges[i] for i in seen])
        verdicts: list[Verdict | None] = [None] * len(exchanges)
        for i, verdict in zip(seen, judged, strict=True):
            verdicts[i] = verdict
        return verdicts

    def levelled(self, verdict: Verdict) -> Verdict:
        """Return the verdict with its score on the common scale, and the outcome that the threshold gives."""
        if verdict.score is None or verdict.outcome is Outcome.UNASSESSED:
            return verdict
        ruled, level = self.ruled(verdict), _moved(verdict.score, self.threshold)
        unsafe = ruled.outcome is Outcome.UNSAFE
        return ruled.model_copy(update={"score": max(level, LEVEL) if unsafe else min(level, _BELOW)})

    def ruled(self, verdict: Verdict) -> Verdict:
        """Return the verdict with the outcome that the policy's threshold gives, if it sets one."""
        if self.rule is None or verdict.score is None or verdict.outcome is Outcome.UNASSESSED:
            return verdict
        outcome = Outcome.UNSAFE if verdict.score >= self.rule else Outcome.SAFE
        return verdict.model_copy(update={"outcome": outcome})


def parts_of(specs: Sequence[str], policy: Policy | None, least: int = 2) -> list[Part]:
    """Return the guards that specs name as parts; UsageError if there are fewer than ``least``."""
    if len(specs) < least:
        raise UsageError(
            f"A combination needs {least} or more guards, not {len(specs)}.", "Write any(rules, embedded)."
        )
    return [part(registry.load(spec, policy), policy) for spec in specs]


def part(guard: Guard, policy: Policy | None = None) -> Part:
    """Return a guard as a part, with the policy's threshold for it."""
    rule = policy.guards.get(guard.info.name) if policy else None
    return Part(guard, rule.threshold if rule else None)


def info_of(kind: str, parts: Sequence[Part], settings: Sequence[str | float] = ()) -> GuardInfo:
    """Return what there is to know of a combination, from what is known of its parts.

    Args:
        kind: its name, before the brackets.
        parts: its guards, in order.
        settings: further arguments; shown in the name and part of the revision.
    """
    infos = [each.info for each in parts]
    shown = [info.name for info in infos] + [_plain(value) for value in settings]
    return GuardInfo(
        name=f"{kind}({', '.join(shown)})",
        revision=digest(kind, [each.identity for each in parts], list(settings)),
        parts=tuple(dict.fromkeys(family for info in infos for family in info.families)),
        sees=_union([info.sees for info in infos]),
        threshold=LEVEL,
        hazards=tuple(sorted({hazard for info in infos for hazard in info.hazards})),
        licence=" and ".join(dict.fromkeys(info.licence for info in infos if info.licence)),
        needs=tuple(dict.fromkeys(need for info in infos for need in info.needs)),
        leaves_machine=any(info.leaves_machine for info in infos),
        batch_size=min(info.batch_size for info in infos),
    )


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _union(sees: Sequence[Literal["prompt", "reply", "both"]]) -> Literal["prompt", "reply", "both"]:
    return sees[0] if len(set(sees)) == 1 else "both"


Said: TypeAlias = "list[tuple[Part, Verdict]]"
"""Who could judge an exchange, and how."""


async def judge_all(
    parts: Sequence[Part], exchanges: Sequence[Exchange], *, levelled: bool = True
) -> list[Said]:
    """Let all parts judge at the same time; return what was said of each exchange, in order."""
    columns: list[list[Verdict | None]] = [[] for _ in parts]

    async def ask(i: int) -> None:
        columns[i] = await parts[i].judge(exchanges)

    async with anyio.create_task_group() as tasks:
        for i in range(len(parts)):
            tasks.start_soon(ask, i)
    said: list[Said] = [[] for _ in exchanges]
    for each, column in zip(parts, columns, strict=True):
        for row, verdict in zip(said, column, strict=True):
            if verdict is not None:
                row.append((each, each.levelled(verdict) if levelled else verdict))
    return said


def merged(
    said: Sequence[tuple[Part, Verdict]], outcome: Outcome, score: float | None, reason: str = ""
) -> Verdict:
    """Return one verdict of what several parts said.

    Findings are those of all parts, equal ones once; a label is its mean over the parts that give it; latency
    is summed, the work done and not the time waited; cost is the sum of the known ones, None if none is.
    """
    verdicts = [verdict for _, verdict in said]
    costs = [verdict.cost_usd for verdict in verdicts if verdict.cost_usd is not None]
    return Verdict(
        outcome=outcome,
        score=None if outcome is Outcome.UNASSESSED else score,
        findings=_findings(verdicts),
        labels=_labels(verdicts),
        reason=reason or "; ".join(_line(each, verdict) for each, verdict in said),
        latency_s=math.fsum(verdict.latency_s for verdict in verdicts),
        cost_usd=math.fsum(costs) if costs else None,
    )


async def aclose(parts: Iterable[Part]) -> None:
    """Close the parts that hold something, such as connections."""
    for each in parts:
        close = getattr(each.guard, "aclose", None)
        if close is not None:
            await close()


def _moved(score: float, threshold: float) -> float:
    if score < threshold:
        return LEVEL * score / threshold
    return LEVEL + (1 - LEVEL) * (score - threshold) / (1 - threshold) if threshold < 1 else 1.0


def _findings(verdicts: Sequence[Verdict]) -> tuple[Finding, ...]:
    return tuple(dict.fromkeys(finding for verdict in verdicts for finding in verdict.findings))


def _labels(verdicts: Sequence[Verdict]) -> dict[str, float]:
    names = dict.fromkeys(name for verdict in verdicts for name in verdict.labels)
    given = {name: [v.labels[name] for v in verdicts if name in v.labels] for name in names}
    return {name: math.fsum(values) / len(values) for name, values in given.items()}


def _line(each: Part, verdict: Verdict) -> str:
    reason = f" ({verdict.reason})" if verdict.reason else ""
    return f"{each.info.name} {verdict.outcome.value}{reason}"
