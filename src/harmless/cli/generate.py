"""``harmless generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from harmless.check import load_policy
from harmless.check.generate import answer_file
from harmless.cli.console import err, print_json
from harmless.cli.options import Asking


def generate(
    target: str,
    /,
    *,
    in_: Annotated[Path, Parameter(name="--in")],
    out: Path,
    policy: Path | None = None,
    json: bool = False,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> None:
    """Let a target answer the prompts of a JSONL file.

    Args:
        target: embedded, openai:MODEL, anthropic:MODEL, hf:PATH, guarded:GUARD:TARGET, scripted:FILE.
        in_: JSONL with `prompt` or `messages`; other fields are kept.
        out: JSONL with the same rows and `reply`, or `error` where there was none.
        policy: YAML file, for guarded targets.
        json: print counts as one JSON document.
    """

    async def run() -> dict[str, int]:
        asked = asking.target(target, load_policy(policy))
        try:
            return await answer_file(asked, in_, out, asking.sampling(asked))
        finally:
            await asked.aclose()

    counts = anyio.run(run)
    if json:
        print_json({"target": target, "out": str(out), **counts})
    else:
        err.print(f"{counts['replies']} replies, {counts['errors']} errors -> {out}")
