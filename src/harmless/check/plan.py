"""What a run will ask, fixed before it starts."""

from __future__ import annotations

import random
import re
from functools import cached_property

from harmless import taxonomy
from harmless.check.outcomes import CHOICE, ROLES, RULE, roles_of
from harmless.core import Expect, Policy, Prompt, Sampling, TargetInfo, digest
from harmless.core.model import Model
from harmless.data import Suite
from harmless.errors import UsageError
from harmless.stats import sample_size_pairs


class Plan(Model):
    """Prompts, how often and with what sampling each is asked, and the order.

    ``samples`` asks every prompt that many times, with seeds ``sampling.seed``, +1, ...; ``order_seed``
    shuffles the prompts, so that a run that stops early has asked a random part of them. ``likelihood``: the
    target is not asked to reply but how likely each option is. ``metric`` is that of the suite.
    """

    suite: str
    prompts: tuple[Prompt, ...]
    sampling: Sampling
    samples: int = 1
    order_seed: int = 0
    likelihood: bool = False
    metric: str = "safety"

    @cached_property
    def hash(self) -> str:
        """Digest of all that is asked; two runs are paired only if theirs are equal."""
        asked = [(p.id, p.content_hash, p.pair, p.cluster) for p in self.prompts]
        return digest(asked, self.sampling, self.samples, self.order_seed, self.likelihood)

    def order(self) -> list[tuple[int, int]]:
        """Return (position, sample) in the order of asking: every prompt once, shuffled, then again."""
        positions = list(range(len(self.prompts)))
        random.Random(self.order_seed).shuffle(positions)
        return [(position, sample) for sample in range(self.samples) for position in positions]

    def sampling_of(self, sample: int) -> Sampling:
        """Return the sampling of one sample: its seed is its own."""
        if sample == 0:
            return self.sampling
        return self.sampling.model_copy(update={"seed": self.sampling.seed + sample})

    def attempt_key(self, position: int, sample: int, target: TargetInfo) -> str:
        """Return the deterministic key of one attempt; attack and turn are those of a plain question."""
        prompt = self.prompts[position]
        return digest(self.hash, prompt.id, prompt.content_hash, "", 0, sample, target.identity, length=24)

    @property
    def harmful(self) -> int:
        """How many prompts must be refused."""
        return sum(p.expect is Expect.REFUSE for p in self.prompts)

    @property
    def benign(self) -> int:
        """How many prompts must be answered."""
        return sum(p.expect is Expect.ANSWER for p in self.prompts)

    @property
    def choices(self) -> int:
        """How many prompts are questions with options."""
        return sum(p.expect is Expect.CHOOSE for p in self.prompts)

    @cached_property
    def roles(self) -> tuple[str, ...]:
        """The roles in which replies to these prompts are judged."""
        needed = {role for prompt in self.prompts for role in roles_of(prompt)}
        return tuple(role for role in (*ROLES, CHOICE, RULE) if role in needed)

    def smallest_difference(self) -> float | None:
        """Return the smallest drop of the unsafe rate that a paired comparison finds with 80 % power.

        Assumes that a guard or a training only mends (no prompt gets worse), two-sided alpha 5 %.
        """
        return next((d / 1000 for d in range(1, 1001) if sample_size_pairs(d / 1000, 0) <= self.harmful), None)


class Budget(Model):
    """When a run stops whether it is done or not; what was not asked is reported as such."""

    calls: int | None = None
    seconds: float | None = None
    usd: float | None = None

    @classmethod
    def parse(cls, text: str | None) -> Budget:
        """Return the budget of a text such as ``500calls``, ``10m``, ``2usd`` or ``500calls,90s``.

        Raises:
            UsageError: a part is not a number with one of the units calls, s, m, h, usd.
        """
        limits: dict[str, float] = {}
        for part in filter(None, (text or "").replace(" ", "").lower().split(",")):
            match = re.fullmatch(r"(\d+(?:\.\d+)?)(calls?|s|m|h|usd)", part)
            if not match or float(match[1]) == 0:
                raise UsageError(f"'{part}' is not a budget.", "Use e.g. 500calls, 90s, 10m, 1h, 2usd.")
            amount, unit = float(match[1]), match[2]
            if unit in "smh":
                limits["seconds"] = amount * {"s": 1, "m": 60, "h": 3600}[unit]
            elif unit == "usd":
                limits["usd"] = amount
            else:
                limits["calls"] = int(amount)
        return cls.model_validate(limits)

    def check(self, target: TargetInfo) -> None:
        """Raise UsageError if it is in US dollars and the target's replies do not carry their cost."""
        if self.usd is not None and not target.priced:
            raise UsageError(
                f"What the replies of {target.name} cost is not known, so a budget in usd would never end.",
                "Give an endpoint's --input-price and --output-price, or a budget such as 500calls or 10m.",
            )


def in_scope(suite: Suite, policy: Policy) -> Suite:
    """Return the suite with the prompts of the policy's hazards, and those of no hazard.

    Raises:
        UsageError: nothing is left.
    """
    if not policy.hazards:
        return suite
    hazards = taxonomy.load()
    scope = {leaf.key for key in policy.hazards for leaf in hazards.leaves_under(key)}
    kept = [p for p in suite.prompts if p.hazard is None or p.hazard in scope]
    if not any(p.hazard for p in kept):
        raise UsageError("No prompt of the suite is of a hazard of the policy.", "Change the policy's hazards.")
    return suite.keeping(kept)
