"""Options that ``attack`` and ``defend`` share: what is attacked with what, for what, and who judges."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from harmless.check import Budget, load_judges
from harmless.cli.options import Asking
from harmless.core import Guard, Policy, Prompt, Target
from harmless.errors import UsageError

if TYPE_CHECKING:
    from harmless.attacks import Attack, CampaignOptions

#: What runs where no attack is named: quick, and without a model that writes.
USUAL = ("direct", "best_of_n")
#: Objectives where neither objectives nor hazards are named: one of each hazard would take long on a laptop.
FEW = 20

Several = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="", show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Attacking:
    """Which attacks, for which objectives, within which budget, and who judges and writes."""

    attack: Several = ()
    """Names of attacks, with arguments in brackets: `direct`, `best_of_n(0.4)`; default these two."""
    objective: Several = ()
    """What the target should be made to do."""
    objectives: Path | None = None
    """JSONL or CSV file with `objective` and, if known, `hazard`."""
    data: str | None = None
    """Use the prompts of this set that have to be refused as objectives: a set of the catalog as NAME or
    NAME=FILE, or a FILE of prompts. Those of `salad_attack` are attacks by themselves."""
    hazard: Several = ()
    """Use the built-in objectives of these hazards (key, code or name, any level)."""
    limit: int | None = None
    """Use about so many objectives, sampled evenly over the hazards; default all, of the built-in ones 20."""
    attacker: str | None = None
    """The target that writes for attacks that need one; default: TARGET itself."""
    judge: str = "judge"
    """The guard that judges the replies in view of the objective."""
    budget: str | None = None
    """Stop after e.g. 500calls (of the target, divided evenly over attacks and objectives), 10m, 2usd. Where
    defences are compared, each of them has that much, and so has the target without one; benign prompts come
    on top."""

    def attacks(self, usual: tuple[str, ...] = USUAL) -> list[Attack]:
        """Return the attacks that are named, or else the usual ones."""
        from harmless import attacks

        return [attacks.load(spec) for spec in self.attack or usual]

    @property
    def names_objectives(self) -> bool:
        """Whether the user says what is to be reached."""
        return bool(self.objective or self.objectives or self.data or self.hazard)

    def aims(self, seed: int) -> list[Prompt]:
        """Return what is to be reached: what the user gives, else built-in objectives."""
        from harmless import attacks
        from harmless.attacks.objectives import limited

        given = self.objective or self.objectives
        if (given or self.data) and self.hazard:
            raise UsageError("--hazard chooses built-in objectives.", "Leave it or them out.")
        if given and self.data:
            raise UsageError("--data is where objectives come from.", "Leave it or them out.")
        if self.data:
            return attacks.from_set(self.data, self.limit, seed)
        if given:
            found = attacks.from_texts(self.objective)
            found += attacks.from_file(self.objectives) if self.objectives else []
            return limited(list({each.id: each for each in found}.values()), self.limit, seed)
        few = None if self.hazard else FEW
        return attacks.built_in(self.hazard, few if self.limit is None else self.limit, seed)

    def judges(self, policy: Policy) -> dict[str, Guard]:
        """Return the guards of the roles ``harm`` and ``refusal``."""
        return load_judges(self.judge, policy)

    def options(self, asking: Asking, target: Target, *, fresh: bool = False) -> CampaignOptions:
        """Return how a campaign is done."""
        from harmless import attacks

        return attacks.CampaignOptions(
            sampling=asking.sampling(target), budget=Budget.parse(self.budget), seed=asking.seed, fresh=fresh
        )

    def writer(self, chosen: list[Attack], asking: Asking, target: Target, policy: Policy) -> Target | None:
        """Return the target that writes, None if no attack needs one."""
        if not any(each.info.attacker for each in chosen):
            return None
        return asking.target(self.attacker, policy) if self.attacker else target


@asynccontextmanager
async def closing(target: Target, writer: Target | None) -> AsyncIterator[None]:
    """Close both when the block ends; they may be one."""
    try:
        yield
    finally:
        await target.aclose()
        if writer and writer is not target:
            await writer.aclose()
