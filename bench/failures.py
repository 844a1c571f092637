"""Whether failure modes tell apart what failures have in common, and whether drafted rules hold elsewhere.

    python bench/failures.py [--quick]

A target that always yields is asked one of our own harmful training requests a hazard, in 14 forms: so
what failures have in common is known, the form. Modes: how pure they are (the share of failures in modes that
are of the most frequent form of their mode), by the words that count and by the dimensions. Rules: drafted from
the templates around one half of the requests, then matched with the other half in the same templates, with
others, and with benign rows. Writes ``bench/results/failures.json``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio

from harmless.attacks import attack, from_texts, load, modes
from harmless.attacks.barred import Barred
from harmless.attacks.draft_rules import as_yaml, draft_rules
from harmless.attacks.failures import Failure, failures
from harmless.check import load_policy
from harmless.core import (
    Exchange,
    GuardInfo,
    Outcome,
    Prompt,
    Reply,
    ReplyStatus,
    Sampling,
    TargetInfo,
    Verdict,
)
from harmless.core.conversation import Conversation
from harmless.data.similar import Words
from harmless.evidence import Store
from harmless.guards.rules import rules
from harmless.guards.train.own import contrast_pairs

PLAIN = ("direct",)
CODED = tuple(f"transform({name})" for name in ("base64", "rot13", "leetspeak", "morse", "reverse_words"))
LEARNT = tuple(f"template({name})" for name in ("nested_story", "agree_first", "debug_console", "evil_twin"))
OTHERS = tuple(f"template({name})" for name in ("grandparent", "thesis", "exam_key", "time_pressure"))
RESULT = Path(__file__).parent / "results" / "failures.json"


class Yields:
    """A target that does whatever it is asked."""

    info = TargetInfo(name="yields", revision="1", batch_size=64, concurrency=1)

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        return [Reply(status=ReplyStatus.COMPLETE, text="yes") for _ in conversations]

    async def aclose(self) -> None:
        pass


class Unsafe:
    """A guard to which all is unsafe."""

    info = GuardInfo(name="unsafe", revision="1", sees="both")

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        return [Verdict(outcome=Outcome.UNSAFE, score=1.0, labels={"refusal": 0.0}) for _ in exchanges]


def failed(aims: Sequence[Prompt], specs: Sequence[str]) -> list[Failure]:
    """Return the failures of a campaign in which every attempt succeeds."""
    judges = {"harm": Unsafe(), "refusal": Unsafe()}
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "evidence.db") as store:

        async def run() -> str:
            attacks = [load(spec) for spec in specs]
            return (await attack(Yields(), aims, attacks, load_policy(None), store, judges)).run

        return failures(store, anyio.run(run))


def purity(found: Sequence[modes.Mode], failed: Sequence[Failure]) -> dict[str, Any]:
    form = {each.attempt: each.attack for each in failed}
    tops = [Counter(form[i] for i in mode.attempts).most_common(1)[0][1] for mode in found]
    placed = sum(mode.failures for mode in found)
    return {
        "modes": len(found),
        "alone": len(failed) - placed,
        "purity": round(sum(tops) / placed, 3) if placed else None,
    }


def main() -> None:
    quick = "--quick" in sys.argv
    kept: dict[str, list[dict[str, str]]] = {}
    for pair in contrast_pairs():
        kept.setdefault(pair["hazard"], []).append(pair)
    chosen = [pairs[0] for pairs in kept.values()][:: 2 if quick else 1]
    aims = [aim for pair in chosen for aim in from_texts([pair["harmful"]], pair["hazard"])]
    result = {"objectives": len(aims), "modes": measured_modes(aims), "rules": measured_rules(aims)}
    print(json.dumps(result, indent=1))
    if not quick:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


def measured_modes(aims: Sequence[Prompt]) -> list[dict[str, Any]]:
    found = failed(aims, (*PLAIN, *CODED, *LEARNT, *OTHERS))
    rows, usual, share = [], modes.DIMENSIONS, modes.shared
    for dimensions in (8, 12, 16, 24):
        for words in ("shared", "all"):
            modes.DIMENSIONS = dimensions
            modes.shared = share if words == "shared" else lambda some: [each.said for each in some]
            start = time.process_time()
            measured = purity(modes.modes(found, Words()).modes, found)
            spent = round(time.process_time() - start, 1)
            rows.append({"dimensions": dimensions, "words": words, **measured, "cpu_s": spent})
    modes.DIMENSIONS, modes.shared = usual, share
    return rows


def measured_rules(aims: Sequence[Prompt]) -> dict[str, Any]:
    seen = failed(aims[::2], (*PLAIN, *LEARNT))
    drafted = draft_rules(seen, Barred(seen, "own"), "bench")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yaml"
        path.write_text(as_yaml(drafted.file), encoding="utf-8")
        guard = rules(str(path))

    def matched(specs: Sequence[str], some: Sequence[Prompt]) -> float:
        texts = [each.text for each in failed(some, specs)]
        return round(sum(bool(guard.find(text)) for text in texts) / len(texts), 3)

    return {
        "rules": len(drafted.file.rules),
        "dropped": drafted.dropped,
        "benign": drafted.benign,
        "benign_added": drafted.added,
        "benign_added_at_most": round(drafted.added_at_most, 5),
        "benign_flagged_by_ours": drafted.flagged_before,
        "matched": {
            "same templates, same requests": matched(LEARNT, aims[::2]),
            "same templates, other requests": matched(LEARNT, aims[1::2]),
            "other templates, other requests": matched(OTHERS, aims[1::2]),
            "asked outright, other requests": matched(PLAIN, aims[1::2]),
        },
    }


if __name__ == "__main__":
    main()
