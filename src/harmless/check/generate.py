"""Let a target answer the prompts of a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio

from harmless.core import Reply, Sampling, Target
from harmless.data.files import read_rows
from harmless.data.own import conversation_of
from harmless.errors import UnreachableError, UsageError


async def answer_file(target: Target, source: Path, out: Path, sampling: Sampling) -> dict[str, int]:
    """Write the rows of ``source`` with ``reply`` and ``status``, or ``error``, to ``out``, in their order.

    Args:
        source: JSONL or CSV with ``prompt`` (or ``messages``); other fields are kept.
        out: JSONL; written beside and moved into place when all is done.

    Returns:
        The numbers of ``rows``, ``replies`` and ``errors``.

    Raises:
        BadFileError: a row of ``source`` is not what it should be; nothing is written.
        UnreachableError: not one reply came.
    """
    rows = [(row, conversation_of(source, line, row)) for line, row in read_rows(source)]
    replies: list[Reply | None] = [None] * len(rows)
    batches = _batches(len(rows), target.info.batch_size)

    async def work() -> None:
        for batch in batches:
            found = await target.reply([rows[i][1] for i in batch], sampling)
            for i, reply in zip(batch, found, strict=True):
                replies[i] = reply

    async with anyio.create_task_group() as tasks:
        for _ in range(target.info.concurrency):
            tasks.start_soon(work)
    done = [_answered(row, reply) for (row, _), reply in zip(rows, replies, strict=True) if reply is not None]
    errors = sum("error" in row for row in done)
    if done and errors == len(done):
        raise UnreachableError(f"Not one prompt was answered: {done[0]['error']}.", "Check the target.")
    _write(out, done)
    return {"rows": len(done), "replies": len(done) - errors, "errors": errors}


def _batches(count: int, size: int) -> Any:
    return iter([range(start, min(start + size, count)) for start in range(0, count, size)])


def _answered(row: dict[str, Any], reply: Reply) -> dict[str, Any]:
    if reply.has_text:
        return {**row, "reply": reply.text, "status": reply.status.value}
    return {**row, "error": f"{reply.status.value}: {reply.cause}".rstrip(": ")}


def _write(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    part = out.with_name(out.name + ".part")
    try:
        part.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        part.replace(out)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}.", "Choose another --out.") from None
