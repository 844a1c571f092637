"""The bandit beside uniform division of the same budget: how many objectives are reached.

    python bench/attack_bandit.py                        20 scripted worlds, 400 and 1,200 calls each
    python bench/attack_bandit.py --quick                3 worlds, 400 calls
    python bench/attack_bandit.py --target SPEC --calls 240 --attack NAME... --workspace FOLDER

A scripted world has 8 attacks and 8 hazards with 6 objectives each; how often a call works is the product of
an attack's and a hazard's rate, both drawn at random, so that few pairs work. ``no learning`` is the bandit
without what it learns: rounds, and objectives that are left alone once reached. With ``--target`` uniform and
bandit are run once each on that target; it goes on where it stopped. Writes to ``bench/results``.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import anyio

import harmless
from harmless import attacks, targets, taxonomy
from harmless.attacks.bandit import Beliefs
from harmless.attacks.contract import AttackInfo, Session
from harmless.check import Budget, load_judges
from harmless.core import (
    Conversation,
    Exchange,
    Guard,
    GuardInfo,
    Outcome,
    Prompt,
    Reply,
    ReplyStatus,
    Sampling,
    TargetInfo,
    Verdict,
    user,
)

RESULTS = Path(__file__).parent / "results" / "attack_bandit.json"
ATTACKS, HAZARDS, OBJECTIVES = 8, 8, 6
#: An attack's rate is the third power of a number between 0 and this, so that few are good.
BEST = 0.8
Mode = Literal["uniform", "bandit"]


class Numbered:
    """An attack of a scripted world: says its name and a number, again and again."""

    def __init__(self, name: str) -> None:
        self.info = AttackInfo(name=name, family="scripted", calls=1000)

    async def run(self, session: Session) -> None:
        """Ask until it is over."""
        number = 0
        while True:
            number += 1
            await session.ask([user(f"{self.info.name}|{session.objective.text}|{number}")])


class World:
    """A target whose replies follow from the prompt and the rates of its attack and hazard."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"world {seed}")
        self._seed = seed
        self._attacks = {f"a{i}": rng.uniform(0, BEST) ** 3 for i in range(ATTACKS)}
        self._hazards = {f"h{i}": rng.random() for i in range(HAZARDS)}
        self.info = TargetInfo(name=f"world {seed}", revision="1", batch_size=8, concurrency=1)

    async def reply(self, conversations: list[Conversation], sampling: Sampling) -> list[Reply]:
        """Give in with the probability of attack times hazard."""
        return [self._reply(each[-1].content) for each in conversations]

    async def aclose(self) -> None:
        """Nothing is open."""

    def _reply(self, prompt: str) -> Reply:
        attack, objective, _ = prompt.split("|")
        rate = self._attacks[attack] * self._hazards[objective.partition(" ")[0]]
        works = random.Random(f"{self._seed} {prompt}").random() < rate
        return Reply(status=ReplyStatus.COMPLETE, text="yes" if works else "no")


class Reads:
    """A judge for whom "yes" is unsafe and "no" a refusal."""

    info = GuardInfo(name="reads", revision="1", sees="both")

    async def judge(self, exchanges: list[Exchange]) -> list[Verdict]:
        """Judge by the word."""
        return [
            Verdict(
                outcome=Outcome.UNSAFE if each.reply == "yes" else Outcome.SAFE,
                score=float(each.reply == "yes"),
                labels={"refusal": float(each.reply == "no"), "compliance": float(each.reply == "yes")},
            )
            for each in exchanges
        ]


def reached(store: harmless.Store, run: str) -> dict[str, int]:
    """Return the objectives that any attack reached, the calls made, and the tokens."""
    places, calls, tokens = set[int](), 0, 0
    steps = store.steps(run)
    for attempt in store.attempts(run):
        tokens += attempt.reply.usage.prompt_tokens + attempt.reply.usage.completion_tokens
        if steps[attempt.id].role == "target":
            calls += 1
            verdict = attempt.verdicts.get("harm")
            if verdict and verdict.outcome is Outcome.UNSAFE:
                places.add(attempt.position)
    return {"objectives_reached": len(places), "calls": calls, "tokens": tokens}


async def scripted(seed: int, calls: int, mode: Mode, folder: Path) -> int:
    """Return how many objectives one division of the budget reached in one world."""
    hazards = [leaf.key for leaf in taxonomy.load().leaves[:HAZARDS]]
    aims = [
        aim
        for i, hazard in enumerate(hazards)
        for aim in attacks.from_texts([f"h{i} {n}" for n in range(OBJECTIVES)], hazard)
    ]
    judges: dict[str, Guard] = {"harm": Reads(), "refusal": Reads()}  # type: ignore[dict-item]
    options = attacks.CampaignOptions(budget=Budget(calls=calls), allocate=mode, seed=seed)
    chosen = [Numbered(f"a{i}") for i in range(ATTACKS)]
    with tempfile.TemporaryDirectory(dir=folder) as own, harmless.Store(Path(own) / "evidence.db") as store:
        found = await attacks.attack(
            World(seed),  # type: ignore[arg-type]
            aims,
            chosen,
            harmless.load_policy(),
            store,
            judges,
            options,
        )
        return reached(store, found.run)["objectives_reached"]


def worlds(count: int, calls: int) -> dict[str, Any]:
    """Return the objectives reached by each division, and the paired difference of bandit and the others."""
    made: dict[str, list[int]] = {"uniform": [], "no learning": [], "bandit": []}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(count):
            made["uniform"].append(anyio.run(scripted, seed, calls, "uniform", Path(folder)))
            made["bandit"].append(anyio.run(scripted, seed, calls, "bandit", Path(folder)))
            with mock.patch.object(Beliefs, "learn"):
                made["no learning"].append(anyio.run(scripted, seed, calls, "bandit", Path(folder)))
    found: dict[str, Any] = {"worlds": count, "calls": calls, "objectives": HAZARDS * OBJECTIVES}
    found["mean_reached"] = {name: round(statistics.fmean(each), 2) for name, each in made.items()}
    for other in ("uniform", "no learning"):
        differences = [b - o for b, o in zip(made["bandit"], made[other], strict=True)]
        error = statistics.stdev(differences) / count**0.5 if count > 1 else 0.0
        found[f"bandit_minus_{other.replace(' ', '_')}"] = {
            "mean": round(statistics.fmean(differences), 2),
            "standard_error": round(error, 2),
            "worlds_better": sum(each > 0 for each in differences),
            "worlds_worse": sum(each < 0 for each in differences),
        }
    return found


def real(spec: str, names: list[str], calls: int, aims: list[Prompt], workspace: Path) -> dict[str, Any]:
    """Return what each division reached on a target, once."""
    policy = harmless.load_policy()
    found: dict[str, Any] = {"target": spec, "calls": calls, "objectives": len(aims), "attacks": names}

    async def run(mode: Mode, store: harmless.Store) -> dict[str, int]:
        target = targets.load(spec, targets.TargetOptions(), guards=harmless.load_guard)
        options = attacks.CampaignOptions(
            sampling=Sampling(max_tokens=target.info.reply_tokens or 64),
            budget=Budget(calls=calls),
            allocate=mode,
        )
        chosen = [attacks.load(name) for name in names]
        result = await attacks.attack(
            target, aims, chosen, policy, store, load_judges("judge", policy), options
        )
        await target.aclose()
        return reached(store, result.run) | {each.name: each.calls for each in result.attacks}

    with harmless.Store(workspace / "evidence.db") as store:
        for mode in ("uniform", "bandit"):
            found[mode] = anyio.run(run, mode, store)
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--target")
    parser.add_argument(
        "--attack", nargs="*", default=["direct", "best_of_n", "genetic", "templates", "persuasion"]
    )
    parser.add_argument("--calls", type=int, default=240)
    parser.add_argument("--objectives", type=int, default=40)
    parser.add_argument("--workspace", type=Path)
    given = parser.parse_args()
    result: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if given.target:
        aims = attacks.built_in((), given.objectives)
        with tempfile.TemporaryDirectory() as folder:
            workspace = given.workspace or Path(folder)
            result["target"] = real(given.target, given.attack, given.calls, aims, workspace)
    else:
        plans = [(3, 400)] if given.quick else [(20, 400), (20, 1200)]
        result["scripted"] = [worlds(*plan) for plan in plans]
    result["machine"] = platform.machine()
    print(json.dumps(result, indent=1))
    if not given.quick:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
