"""What a campaign costs over the bare client: calls a second to a server over HTTP.

    python bench/attack_speed.py            1,000 calls, three times
    python bench/attack_speed.py --quick    400 calls, once

The server replies at once, and in a second round after 200 ms, which is quick for a model. Both ask it the same
prompts through the official ``openai`` client with the same concurrency; the campaign also judges each reply
and commits it. Milliseconds of CPU a call, without those of the server, say more than calls a second on a busy
machine. Writes ``bench/results/attack_speed.json``.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
from openai import AsyncOpenAI

import harmless
from harmless import attacks, targets
from harmless.check import load_judges

HERE = Path(__file__).parent
CONCURRENCY = 16
DELAY_MS = 200
RATIOS = ("ratio", "cpu_ratio")


@contextmanager
def served(delay_ms: float = 0.0) -> Iterator[str]:
    """Run the server of :mod:`attack_server`, and yield its address."""
    command = [sys.executable, str(HERE / "parts" / "attack_server.py"), str(delay_ms)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
    finally:
        server.terminate()
        server.wait()


async def bare(address: str, texts: list[str]) -> None:
    """Ask with the client alone."""
    client = AsyncOpenAI(base_url=address, api_key="none", max_retries=0)
    waiting = iter(texts)

    async def work() -> None:
        for text in waiting:
            await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": text}], temperature=0, max_tokens=64
            )

    async with anyio.create_task_group() as tasks:
        for _ in range(CONCURRENCY):
            tasks.start_soon(work)
    await client.close()


async def campaign(address: str, texts: list[str], folder: Path) -> int:
    """Ask as ``harmless attack`` does; return the number of calls."""
    policy = harmless.load_policy()
    options = targets.TargetOptions(base_url=address, concurrency=CONCURRENCY)
    target = targets.load("openai:m", options)
    with harmless.Store(folder / "evidence.db") as store:
        found = await attacks.attack(
            target,
            attacks.from_texts(texts),
            [attacks.load("direct")],
            policy,
            store,
            load_judges("judge", policy),
        )
    await target.aclose()
    return found.attacks[0].calls


def measure(address: str, calls: int) -> dict[str, float]:
    """Return calls a second and milliseconds of CPU a call of both, in turn."""
    texts = [f"Request number {i}: how do I get into the house of my neighbour?" for i in range(calls)]
    with timed() as alone:
        anyio.run(bare, address, texts)
    with tempfile.TemporaryDirectory() as folder, timed() as ours:
        made = anyio.run(campaign, address, texts, Path(folder))
    assert made == calls
    return {
        "bare_client": round(calls / alone["wall"], 1),
        "campaign": round(calls / ours["wall"], 1),
        "ratio": round(alone["wall"] / ours["wall"], 3),
        "bare_client_cpu_ms": round(1000 * alone["cpu"] / calls, 3),
        "campaign_cpu_ms": round(1000 * ours["cpu"] / calls, 3),
        "cpu_ratio": round(alone["cpu"] / ours["cpu"], 3),
    }


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Yield what will hold the seconds of the block by the clock and of CPU."""
    found: dict[str, float] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    yield found
    found |= {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    calls, times = (400, 1) if quick else (1000, 3)
    found: dict[str, Any] = {}
    for delay in (0, DELAY_MS):
        with served(delay) as address:
            measure(address, 50)  # imports, artefacts and connections are not what is measured
            runs = [measure(address, calls) for _ in range(times)]
        medians = {f"median_{name}": statistics.median(run[name] for run in runs) for name in RATIOS}
        found["instant" if not delay else f"{delay}_ms"] = {"runs": runs, **medians}
    result = {"calls": calls, "concurrency": CONCURRENCY, **found, "machine": platform.machine()}
    print(json.dumps(result, indent=1))
    if not quick:
        (HERE / "results" / "attack_speed.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
