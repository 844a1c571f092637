"""Attacks against defences: the same attacks, objectives and benign prompts for every defence of one target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harmless import guards as guard_registry
from harmless.attacks.campaign import CampaignOptions, attack
from harmless.attacks.contract import Attack
from harmless.attacks.results import Results
from harmless.check import CheckOptions, check
from harmless.check.summary import Rate
from harmless.core import Guard, Policy, Prompt, Target
from harmless.core.model import Model
from harmless.data import Suite
from harmless.errors import UsageError
from harmless.evidence import Store
from harmless.targets import defences
from harmless.targets.guarded import GuardedTarget

#: The row without a defence.
NONE = "none"


class Row(Model):
    """One defence: the success of each attack against it, and what it costs.

    ``untried`` is attack -> objectives that it never asked for, which are in no rate.
    ``over_refusal`` is the share of benign prompts that are refused; ``check`` and ``attack`` are the runs.
    ``calls`` counts the questions that the defended target was asked by the attacks, ``seconds`` the time that
    its replies took, added up.
    """

    defence: str
    success: dict[str, Rate]
    untried: dict[str, int]
    over_refusal: Rate
    calls: int
    seconds: float
    attack: str
    check: str
    caveats: tuple[str, ...] = ()


class Matrix(Model):
    """Defences by attacks on one target."""

    target: str
    objectives: int
    benign: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Contest:
    """What every defence is put to: attacks for objectives, benign prompts, judges and policy."""

    objectives: Sequence[Prompt]
    attacks: Sequence[Attack]
    benign: Suite
    policy: Policy
    judges: Mapping[str, Guard]
    options: CampaignOptions = field(default_factory=CampaignOptions)


def behind(defence: str, target: Target, policy: Policy) -> Target:
    """Return ``target`` behind a defence of the registry, or behind the guard of that name; ``none`` is none.

    Raises:
        UnknownNameError: neither a defence nor a guard has that name.
    """
    if defence == NONE:
        return target
    if defence in {entry.name for entry in defences.describe()}:
        return defences.wrap(defence, target, lambda name: guard_registry.load(name, policy))
    return GuardedTarget(guard_registry.load(defence, policy), target, policy)


async def defend(
    target: Target,
    names: Sequence[str],
    contest: Contest,
    store: Store,
    *,
    attacker: Target | None = None,
    observe: Callable[[str], None] = lambda step: None,
) -> Matrix:
    """Put every defence to the same contest; each is a run of its own in the store and goes on if cut off.

    Args:
        names: defences, or guards; see :func:`behind`. ``none`` is put first if it is not among them.
        attacker: the model that writes for attacks that need one; it is not defended.
        observe: called with one line before each step.

    Raises:
        UsageError: a name twice, or see :func:`harmless.attacks.attack`.
    """
    names = [NONE, *(name for name in names if name != NONE)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"The defence '{twice}' is there twice.", "Name each once.")
    defended = [behind(name, target, contest.policy) for name in names]
    rows = []
    for name, each in zip(names, defended, strict=True):
        observe(f"{name}: attacks")
        found = await attack(
            each,
            contest.objectives,
            contest.attacks,
            contest.policy,
            store,
            contest.judges,
            contest.options,
            attacker=attacker,
        )
        observe(f"{name}: benign prompts")
        sampling = CheckOptions(sampling=contest.options.sampling)
        summary = await check(each, contest.benign, contest.policy, store, contest.judges, sampling)
        rows.append(_row(name, found, summary.over_refusal, summary.run))
    return Matrix(
        target=target.info.name,
        objectives=len(contest.objectives),
        benign=len(contest.benign.prompts),
        rows=tuple(rows),
    )


def _row(name: str, found: Results, over_refusal: Rate, check_run: str) -> Row:
    return Row(
        defence=name,
        success={each.name: each.asr for each in found.attacks},
        untried={each.name: each.untried for each in found.attacks},
        over_refusal=over_refusal,
        calls=sum(each.calls for each in found.attacks),
        seconds=round(sum(each.seconds for each in found.attacks), 3),
        attack=found.run,
        check=check_run,
        caveats=found.caveats,
    )
