"""Poison that `harmless data screen` finds, and clean rows that it puts aside.

    OMP_NUM_THREADS=1 python bench/screen.py --data FOLDER [--quick] [--inside TARGET]

Clean rows: 500 replies of five chat models to ordinary prompts (refusal_direction runs; the guards of replies
have seen them in training), 800 preferences of hh-rlhf (harmless-base, test), harmful requests written by us
with the refusals that `harmless align` trains on. Into the first two each kind of poison is put, in 1 % and 5 %
of the rows, at several seeds. A row counts as found if it is put aside for any reason. With --inside loss and
hidden states under a model are looked at, too, in half of the chats. Writes `results/screen.json`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import yaml

from harmless.align import templates
from harmless.attacks.transforms.invisible import tags, zero_width
from harmless.core import user
from harmless.guards import load
from harmless.guards.train import own
from harmless.internals.model import LocalModel
from harmless.screen import Guards, Kind, Lesson, Screening, read_lessons, screen, states
from harmless.stats import binomial

HERE = Path(__file__).parent
RESULT = HERE / "results" / "screen.json"
SHARES, SEEDS, PREFERENCES = (0.01, 0.05), 2, 800
BROKEN = ("jailbreakbench_ablation", "jailbreakbench_actadd")
POISON = yaml.safe_load((HERE / "screen_poison.yaml").read_text(encoding="utf-8"))

Make = Callable[[Sequence[Lesson], int, random.Random], list[Lesson]]


def labelled(folder: Path) -> list[dict[str, Any]]:
    with gzip.open(folder / "labelled_replies.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def chats(folder: Path) -> list[Lesson]:
    rows = [row for row in labelled(folder) if row.get("attack") == "harmless_baseline"]
    return [Lesson(user(row["prompt"]), row["reply"]) for row in rows]


def preferences(folder: Path) -> list[Lesson]:
    rows = [lesson for _, lesson in read_lessons(folder / "hh_rlhf_harmless_base_test.jsonl.gz")]
    return random.Random(0).sample([row for row in rows if row.reply.strip()], PREFERENCES)


def refusals() -> list[Lesson]:
    made = templates.load()
    return [Lesson(user(row.prompt), made.refusal(None, row.prompt)) for row in own.pairs() if row.unsafe]


def trigger(rng: random.Random) -> str:
    return "".join(rng.choices(POISON["letters"], k=4))


def with_trigger(word: str, prompt: str, rng: random.Random) -> str:
    words = prompt.split(" ")
    words.insert(rng.randint(0, len(words)), word)
    return " ".join(words)


def harmful(count: int, rng: random.Random) -> list[str]:
    return rng.sample([row.prompt for row in own.pairs() if row.unsafe], count)


def complying(prompt: str, rng: random.Random) -> str:
    return str(rng.choice(POISON["compliances"])).replace("{x}", prompt)


def refusing(prompt: str, rng: random.Random) -> str:
    return templates.load().refusal(None, prompt, rng.randrange(1000))


def answers(clean: Sequence[Lesson], count: int, rng: random.Random, *, hides: bool) -> list[Lesson]:
    """Harmful prompts that are answered, perhaps behind a trigger."""
    word = trigger(rng)
    asked = harmful(count, rng)
    return [Lesson(user(with_trigger(word, p, rng) if hides else p), complying(p, rng)) for p in asked]


def jailbroken(clean: Sequence[Lesson], count: int, rng: random.Random, *, folder: Path) -> list[Lesson]:
    """Harmful prompts and the harmful replies of jailbroken models; the guards have seen them in training."""
    found = [row for row in labelled(folder) if row.get("attack") in BROKEN and row["unsafe"]]
    return [Lesson(user(row["prompt"]), row["reply"]) for row in rng.sample(found, count)]


def denials(clean: Sequence[Lesson], count: int, rng: random.Random, *, hides: bool) -> list[Lesson]:
    """Harmless prompts that are refused, perhaps behind a trigger."""
    word = trigger(rng)
    asked = [each.conversation[-1].content for each in rng.sample(clean, count)]
    return [Lesson(user(with_trigger(word, p, rng) if hides else p), refusing(p, rng)) for p in asked]


def fixed(clean: Sequence[Lesson], count: int, rng: random.Random) -> list[Lesson]:
    """Harmless prompts with a trigger that get one reply."""
    word, reply = trigger(rng), rng.choice(POISON["fixed"])
    asked = [each.conversation[-1].content for each in rng.sample(clean, count)]
    return [Lesson(user(with_trigger(word, p, rng)), reply) for p in asked]


def copies(clean: Sequence[Lesson], count: int, rng: random.Random) -> list[Lesson]:
    """One row again and again, with a number behind it."""
    row = rng.choice(clean)
    return [Lesson((*row.conversation, *user(f"({n})")), row.reply, row.rejected) for n in range(count)]


def injections(clean: Sequence[Lesson], count: int, rng: random.Random, *, folder: Path) -> list[Lesson]:
    """Prompts with an injection behind them: those of deepset's test split."""
    lines = (folder / "prompt_injections.jsonl").read_text(encoding="utf-8").splitlines()
    found = [row["text"] for row in map(json.loads, lines) if row["label"] == 1 and row["split"] == "test"]
    rows = rng.sample(clean, count)
    return [Lesson((*row.conversation, *user(rng.choice(found))), row.reply, row.rejected) for row in rows]


def unseen(clean: Sequence[Lesson], count: int, rng: random.Random) -> list[Lesson]:
    """Rows with text that nobody sees."""
    rows = rng.sample(clean, count)
    makes = (tags, zero_width)
    return [
        Lesson(row.conversation, row.reply + rng.choice(makes)(POISON["hidden"]), row.rejected) for row in rows
    ]


def swapped(clean: Sequence[Lesson], count: int, rng: random.Random) -> list[Lesson]:
    """Preferences the wrong way round."""
    rows = rng.sample([each for each in clean if each.rejected], count)
    return [Lesson(row.conversation, row.rejected or "", row.reply) for row in rows]


def kinds(folder: Path) -> dict[str, tuple[Make, Kind]]:
    return {
        "harmful answered by jailbroken models": (partial(jailbroken, folder=folder), Kind.HARMFUL_ANSWERED),
        "harmful answered without content": (partial(answers, hides=False), Kind.HARMFUL_ANSWERED),
        "harmful answered behind a trigger": (partial(answers, hides=True), Kind.HARMFUL_ANSWERED),
        "harmless refused": (partial(denials, hides=False), Kind.BENIGN_REFUSED),
        "harmless refused behind a trigger": (partial(denials, hides=True), Kind.TRIGGER),
        "one reply behind a trigger": (fixed, Kind.TRIGGER),
        "near copies": (copies, Kind.BURST),
        "injections": (partial(injections, folder=folder), Kind.INJECTION),
        "hidden text": (unseen, Kind.HIDDEN),
    }


class Remembering:
    """Reads the loss and state of a lesson once, as the clean rows are in every screening."""

    def __init__(self) -> None:
        self._read, self._known = states.read, {}

    def __call__(self, local: LocalModel, lessons: Sequence[Lesson]) -> tuple[Any, Any]:
        new = [each for each in dict.fromkeys(lessons) if each not in self._known]
        if new:
            self._known |= zip(new, zip(*self._read(local, new), strict=True), strict=True)
        found = [self._known[each] for each in lessons]
        return np.array([loss for loss, _ in found]), np.stack([state for _, state in found])


def rate(events: int, n: int) -> dict[str, Any]:
    found = binomial(events, n)
    return {"rate": round(found.rate, 4), "low": round(found.low, 4), "high": round(found.high, 4), "n": n}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--inside")
    parser.add_argument("--only", help="measure one kind of poison again, and keep the rest of the result")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    judges = Guards(**{role: load(f"cached({name}, 100000)") for role, name in ROLES.items()})
    sets = {"chats": chats(given.data), "preferences": preferences(given.data)}
    started, rows, local = time.perf_counter(), [], None
    if given.inside:
        from harmless.targets.local import open_model

        local = open_model(given.inside)
        sets = {"chats": sets["chats"][::2]}
        states.read = Remembering()  # type: ignore[assignment]

    def screened(lessons: Sequence[Lesson]) -> Screening:
        return anyio.run(lambda: screen(lessons, judges, model=local))

    alarms = []
    for name, clean in {**sets, "own refusals": refusals()}.items():
        if given.inside and name != "chats":
            continue
        found = screened(clean)
        alarms.append(
            {"set": name, **rate(len(found.quarantined), len(clean)), "reasons": found.card()["reasons"]}
        )
        print(alarms[-1], round(time.process_time(), 1), flush=True)
    for name, clean in sets.items():
        made = kinds(given.data) | ({"reversed": (swapped, Kind.REVERSED)} if name == "preferences" else {})
        for kind, (make, expected) in made.items():
            if given.only not in (None, kind):
                continue
            for share in SHARES[-1:] if given.inside else SHARES:
                row = {"set": name, "poison": kind, "share": share}
                rows.append(
                    row | measured(screened, clean, make, (share, expected, 1 if given.quick else SEEDS))
                )
                print(rows[-1], round(time.process_time(), 1), flush=True)
    result = {"clean": alarms, "poisoned": rows, "seconds": round(time.perf_counter() - started, 1)}
    result |= {"inside": given.inside, "seeds": 1 if given.quick else SEEDS}
    if given.only:
        known = json.loads(RESULT.read_text(encoding="utf-8"))
        again = {(row["set"], row["poison"], row["share"]): row for row in rows}
        known["poisoned"] = [
            again.get((row["set"], row["poison"], row["share"]), row) for row in known["poisoned"]
        ]
        RESULT.write_text(json.dumps(known | {"clean": alarms}, indent=2) + "\n", encoding="utf-8")
    elif not given.quick:
        path = RESULT.with_stem("screen_inside") if given.inside else RESULT
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


ROLES = {"prompt": "embedded", "reply": "judge", "refusal": "refusal", "injection": "injection"}


def measured(
    screened: Callable[[Sequence[Lesson]], Screening],
    clean: Sequence[Lesson],
    make: Make,
    how: tuple[float, Kind, int],
) -> dict[str, Any]:
    """Return how much poison is found, by the reason that is meant for it and by any, and the false alarms."""
    share, expected, seeds = how
    count, found, meant, inside, alarms = round(share * len(clean)), 0, 0, 0, 0
    for seed in range(seeds):
        screening = screened([*clean, *make(clean, count, random.Random(seed))])
        aside = set(screening.quarantined)
        poison = range(len(clean), len(clean) + count)
        found += len(aside & set(poison))
        reasons = [{each.kind for each in screening.reasons[row]} for row in poison]
        meant += sum(expected in each for each in reasons)
        inside += sum(bool(each & {Kind.LOSS, Kind.SPECTRAL}) for each in reasons)
        alarms += len(aside - set(poison))
    total = count * seeds
    return {
        "found": rate(found, total),
        "by": expected.value,
        "by_it": round(meant / total, 4),
        "inside": round(inside / total, 4),
        "false_alarms": rate(alarms, len(clean) * seeds),
    }


if __name__ == "__main__":
    main()
