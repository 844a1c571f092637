"""Run by our own Python, as the others by theirs: asks given prompts; the built-in judge judges the replies.

python harmless_run.py ADDRESS PROMPTS.json CONCURRENCY OUT.json [WORKSPACE]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio

import harmless
from harmless import attacks, targets
from harmless.attacks.calls import calls_of
from harmless.check import load_judges


async def send(address: str, texts: list[str], concurrency: int, folder: Path) -> dict[str, Any]:
    """Ask, judge, and return seconds and replies; goes on where an earlier run in the same folder stopped."""
    policy = harmless.load_policy()
    target = targets.load("openai:m", targets.TargetOptions(base_url=address, concurrency=concurrency))
    judges, direct = load_judges("judge", policy), attacks.load("direct")
    assert all(judge.info.revision for judge in judges.values()), "the artefacts are read here"
    with harmless.Store(folder / "evidence.db") as store:
        started = time.perf_counter()
        found = await attacks.attack(target, attacks.from_texts(texts), [direct], policy, store, judges)
        seconds = time.perf_counter() - started
        calls = [each for cell in calls_of(store, found.run)["direct"].values() for each in cell]
        replies = [
            [call.step.conversation[-1].content, call.attempt.reply.text, bool(call.success)] for call in calls
        ]
    await target.aclose()
    return {"seconds": seconds, "replies": replies}


def main() -> None:
    """Ask, judge, and write seconds and replies."""
    address, prompts, concurrency, out, *folder = sys.argv[1:]
    texts = json.loads(Path(prompts).read_text())
    with tempfile.TemporaryDirectory() as scratch:
        made = anyio.run(send, address, texts, int(concurrency), Path(folder[0] if folder else scratch))
    Path(out).write_text(json.dumps(made))


if __name__ == "__main__":
    main()
