"""A target's own greedy replies, kept in a file: what it says already and is to go on saying."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import anyio

from harmless.core import Conversation, Reply, Sampling, Target
from harmless.evidence import ask_key


async def own_replies(
    target: Target,
    conversations: Sequence[Conversation],
    sampling: Sampling,
    kept: Path,
    observe: Callable[[int, int], None] = lambda done, total: None,
) -> list[Reply]:
    """Return the target's reply to each conversation, in order.

    Replies are added to the file ``kept`` (JSON Lines) as they come: what is there, of the same target and the
    same sampling, is not asked again. Failed replies are returned and not kept.

    Args:
        observe: told how many replies there are, and how many there are to be.
    """
    keys = [ask_key(target.info, sampling, each) for each in conversations]
    known = _read(kept)
    wanted = dict(zip(keys, conversations, strict=True))
    missing = [(key, each) for key, each in wanted.items() if key not in known]
    done = len(wanted) - len(missing)
    failed: dict[str, Reply] = {}
    limiter = anyio.CapacityLimiter(target.info.concurrency)
    kept.parent.mkdir(parents=True, exist_ok=True)

    async def ask(part: Sequence[tuple[str, Conversation]]) -> None:
        nonlocal done
        async with limiter:
            replies = await target.reply([each for _, each in part], sampling)
        done += len(part)
        fresh = {key: reply for (key, _), reply in zip(part, replies, strict=True)}
        good = {key: reply for key, reply in fresh.items() if reply.has_text}
        failed.update({key: reply for key, reply in fresh.items() if key not in good})
        known.update(good)
        with kept.open("a", encoding="utf-8") as file:
            file.writelines(_line(key, reply) for key, reply in good.items())
        observe(done, len(wanted))

    size = target.info.batch_size
    async with anyio.create_task_group() as tasks:
        for start in range(0, len(missing), size):
            tasks.start_soon(ask, missing[start : start + size])
    return [known.get(key) or failed[key] for key in keys]


def _line(key: str, reply: Reply) -> str:
    return json.dumps({"ask": key, "status": reply.status, "text": reply.text}, ensure_ascii=False) + "\n"


def _read(path: Path) -> dict[str, Reply]:
    if not path.exists():
        return {}
    found: dict[str, Reply] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = _whole(line)
        if row:
            found[row["ask"]] = Reply(status=row["status"], text=row["text"])
    return found


def _whole(line: str) -> Mapping[str, str] | None:
    """Return the row of a line, None if a kill cut it."""
    try:
        return dict(json.loads(line))
    except ValueError:
        return None
