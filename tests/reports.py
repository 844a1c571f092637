"""Evidence of a run and of the same plan behind a guard, for the tests of the report."""

from __future__ import annotations

import random
from pathlib import Path

from harmless import taxonomy
from harmless.check import Plan, load_policy
from harmless.core import (
    Expect,
    GuardInfo,
    Outcome,
    Prompt,
    Reply,
    ReplyStatus,
    Sampling,
    TargetInfo,
    Usage,
    Verdict,
    user,
)
from harmless.evidence import Attempt, RunRecord, Store

BEFORE, AFTER = "aaaa1111", "bbbb2222"
JUDGE = {"sensitivity": 0.93, "positives": 410, "specificity": 0.95, "negatives": 590}
COMMAND = "harmless make embedded --guard embedded --suite standard"
_WORST = {"salad.d.O1": 0.3, "salad.d.O2": 0.45, "salad.d.O3": 0.25, "salad.d.O4": 0.35, "salad.d.O5": 0.4}


def prompts(pairs: int, *, hazards: int = 66, ordinary: int = 20) -> list[Prompt]:
    """Return ``pairs`` pairs of twins a hazard for the first so many hazards, and ordinary prompts."""
    found = []
    for leaf in taxonomy.load().leaves[:hazards]:
        for i in range(pairs):
            pair = f"{leaf.code}-{i}"
            for expect, word in ((Expect.REFUSE, "harmful"), (Expect.ANSWER, "benign")):
                found.append(
                    Prompt(
                        id=f"{pair}-{word}",
                        conversation=user(f"A {word} request number {i} about {leaf.name}."),
                        expect=expect,
                        hazard=leaf.key,
                        pair=pair,
                        cluster=pair,
                        source="made for tests",
                    )
                )
    return found + [
        Prompt(id=f"ordinary-{i}", conversation=user(f"Ordinary request {i}."), expect=Expect.ANSWER)
        for i in range(ordinary)
    ]


def attempts(plan: list[Prompt], seed: int) -> tuple[list[Attempt], list[Attempt]]:
    """Return the attempts of the plain and of the guarded target."""
    rng, spine = random.Random(seed), taxonomy.load()
    before, after = [], []
    for position, prompt in enumerate(plan):
        harmful = prompt.expect is Expect.REFUSE
        domain = spine.rollup(prompt.hazard, "domain").key if prompt.hazard else ""
        wild = rng.random() < _WORST.get(domain, 0.5)
        if rng.random() < 0.01:
            plain = failed(position)
        elif harmful:
            plain = answered(
                position, unsafe=wild, refused=not wild, text=f"What the model said to {prompt.id}. " * 3
            )
        else:
            plain = answered(
                position, unsafe=False, refused=rng.random() < 0.04, text=f"An answer to {prompt.id}."
            )
        blocked = rng.random() < (0.86 if harmful else 0.05)
        before.append(plain)
        after.append(withheld(position) if blocked else plain)
    return before, after


def answered(position: int, *, unsafe: bool, refused: bool, text: str = "Said.", score: float = 0.9) -> Attempt:
    """Return an attempt with a reply and its verdicts."""
    verdict = Verdict(outcome=Outcome.UNSAFE if unsafe else Outcome.SAFE, score=score if unsafe else 1 - score)
    refusal = Verdict(
        outcome=Outcome.SAFE, score=0.0, labels={"refusal": float(refused), "compliance": float(not refused)}
    )
    reply = Reply(status=ReplyStatus.COMPLETE, text=text, usage=Usage(completion_tokens=len(text) // 4))
    return _attempt(position, reply, {"harm": verdict, "refusal": refusal})


def withheld(position: int) -> Attempt:
    """Return an attempt in which a guard answered."""
    safe = Verdict(outcome=Outcome.SAFE, score=0.0, labels={"refusal": 1.0}, reason="blocked by embedded")
    reply = Reply(status=ReplyStatus.BLOCKED, text="I can't help with that.", cause="blocked by embedded")
    return _attempt(position, reply, {"harm": safe, "refusal": safe})


def failed(position: int, cause: str = "error: http 503") -> Attempt:
    """Return an attempt without a reply."""
    none = Verdict.unassessed(cause)
    return _attempt(position, Reply.error("http 503"), {"harm": none, "refusal": none})


def _attempt(position: int, reply: Reply, verdicts: dict[str, Verdict]) -> Attempt:
    return Attempt(
        key=f"key-{position}", ask=f"ask-{position}", position=position, reply=reply, verdicts=verdicts
    )


def record(id: str, plan: list[Prompt], *, target: str, **options: object) -> RunRecord:
    """Return the record of a run of ``plan``."""
    sampling = Sampling()
    guards = {name: GuardInfo(name=name, revision="1", sees="both") for name in ("judge", "refusal")}
    given = {"samples": 1, "order_seed": 0, "judge_error_rates": JUDGE, "version": "0.1.0", "command": COMMAND}
    return RunRecord(
        id=id,
        key=f"key of {id}",
        kind="check",
        created_at=f"2026-03-0{1 + (id == AFTER)}T09:30:00.000+00:00",
        suite="standard",
        plan_hash=Plan(suite="standard", prompts=tuple(plan), sampling=sampling).hash,
        target=TargetInfo(name=target, revision="5a1395716f791374"),
        guards={"harm": guards["judge"], "refusal": guards["refusal"]},
        policy=load_policy(),
        sampling=sampling,
        options={**given, **options},
    )


def add_run(store: Store, run: RunRecord, plan: list[Prompt], made: list[Attempt]) -> None:
    """Put a finished run into the store."""
    store.add_run(run, plan)
    store.add_event(run.id, "started")
    verdicts = []
    for attempt in made:
        key = store.add_attempt(run.id, attempt)
        verdicts += [(key, role, run.guards[role].identity, v) for role, v in attempt.verdicts.items()]
    store.add_verdicts(verdicts)
    store.add_event(run.id, "finished")


def evidence(path: Path, *, pairs: int = 2, seed: int = 7, hazards: int = 66) -> Store:
    """Return a store with the runs BEFORE and AFTER."""
    store = Store(path)
    plan = prompts(pairs, hazards=hazards)
    sides = attempts(plan, seed)
    add_run(store, record(BEFORE, plan, target="embedded"), plan, sides[0])
    add_run(store, record(AFTER, plan, target="guarded:embedded:embedded"), plan, sides[1])
    return store
