"""Dividing a budget by what has worked: Thompson sampling over attacks and hazards.

An arm is an attack on a hazard, a pull a few calls for one of its objectives, and the reward whether that
reached the objective (Thompson 1933; Chapelle and Li 2011). There are more arms than most budgets have pulls:
an arm never pulled is judged by its attack and its hazard. Its Beta prior has the mean that the two add up
to in log-odds, with the weight of two pulls; its own pulls take over from there.

It works in rounds, and learns from a round when all of it is done. So what it does follows from the outcomes
and not from the order in which replies come: a run that was killed is taken up by doing it again.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harmless.attacks.allowance import Granted
from harmless.core import digest

#: Calls of one pull.
PULL = 4
#: Pulls that a prior weighs: that of an arm, and those of attack and hazard towards the rate of all.
WEIGHT = 2.0


UNEVEN = (
    "The calls were divided by what worked, and an objective that one attack reached was left to no other: the"
    " rates of the attacks are of different objectives and budgets, and are not compared."
)


class Arm(NamedTuple):
    """An attack on a hazard; objectives without one have None."""

    attack: str
    hazard: str | None


@dataclass(eq=False)
class Place:
    """A cell (attack and objective) that may be pulled: how often it was, and what it may still ask.

    ``apart``: its attack is judged by something else than the objective, so that others need not stop for it.
    """

    arm: Arm
    objective: int
    apart: bool = False
    allowance: Granted = field(default_factory=Granted)
    pulls: int = 0
    reached: bool = False


class Beliefs:
    """Pulls and rewards so far, and what they say of an arm."""

    def __init__(self) -> None:
        self._pulls: Counter[Hashable] = Counter()
        self._rewards: Counter[Hashable] = Counter()

    def learn(self, arm: Arm, *, reward: bool) -> None:
        """Take in the outcome of one pull."""
        for key in (arm, ("attack", arm.attack), ("hazard", arm.hazard), None):
            self._pulls[key] += 1
            self._rewards[key] += reward

    def draw(self, arm: Arm, rng: random.Random) -> float:
        """Return a rate of reward, drawn from what is believed of the arm."""
        overall = (self._rewards[None] + 1) / (self._pulls[None] + 2)
        attack = self._towards(("attack", arm.attack), overall)
        hazard = self._towards(("hazard", arm.hazard), overall)
        mean = 1 / (1 + math.exp(_odds(overall) - _odds(attack) - _odds(hazard)))
        won, lost = self._rewards[arm], self._pulls[arm] - self._rewards[arm]
        return rng.betavariate(WEIGHT * mean + won, WEIGHT * (1 - mean) + lost)

    def _towards(self, key: Hashable, overall: float) -> float:
        return (self._rewards[key] + WEIGHT * overall) / (self._pulls[key] + WEIGHT)


class Bandit:
    """Grants the calls of a budget to places, round by round.

    Args:
        places: all cells of the campaign.
        calls: of the whole budget.
        together: places of one round at most.
        seed: of the draws.
    """

    def __init__(self, places: Sequence[Place], calls: int, together: int, seed: int) -> None:
        self._open: dict[Arm, list[Place]] = {}
        for place in places:
            self._open.setdefault(place.arm, []).append(place)
        self._left, self._together = calls, together
        self._random = random.Random(digest("bandit", seed))
        self._beliefs = Beliefs()
        self._round: list[Place] = []

    def choose(self) -> list[Place]:
        """Grant calls to the places of the next round, and return them; none once all is spent or reached.

        For each, every arm draws a rate; the best gets it, with the objective on which it has worked least. No
        two places of a round work on the same objective.
        """
        self._round, taken = [], set[int]()
        while self._left and len(self._round) < self._together:
            free = {arm: [p for p in places if p.objective not in taken] for arm, places in self._open.items()}
            arms = [arm for arm, places in free.items() if places]
            if not arms:
                break
            best = max(arms, key=lambda arm: self._beliefs.draw(arm, self._random))
            place = min(free[best], key=lambda p: (p.pulls, p.objective))
            taken.add(place.objective)
            calls = min(PULL, self._left)
            self._left -= calls
            place.pulls += 1
            place.allowance.grant(calls)
            self._round.append(place)
        return self._round

    def learn(self) -> None:
        """Take in what came of the round, once all of its places rest: calls that were not needed come back."""
        for place in self._round:
            self._left += place.allowance.returned
            self._beliefs.learn(place.arm, reward=place.reached)
        reached = {place.objective for place in self._round if place.reached and not place.apart}
        for arm, places in self._open.items():
            for place in places:
                if place.objective in reached and not place.apart:
                    place.allowance.end()
            self._open[arm] = [place for place in places if not place.allowance.closed]

    def close(self) -> None:
        """Let every session end that waits for calls."""
        for places in self._open.values():
            for place in places:
                place.allowance.end()


def _odds(rate: float) -> float:
    return math.log(rate / (1 - rate))
