"""Attack artifacts of JailbreakBench (Chao et al. 2024): an object with ``parameters`` and ``jailbreaks``."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from harmless.core import Reply, ReplyStatus, user
from harmless.core.reply import Usage
from harmless.errors import BadFileError
from harmless.interop.imported import Foreign, Imported, ImportedAttempt, hazard_of, parsed, wrong


class _Jailbreak(Foreign):
    goal: str
    behavior: str = ""
    category: str = ""
    prompt: str | None
    response: str | None
    prompt_tokens: int | None = None
    response_tokens: int | None = None
    jailbroken: bool | None


class _Parameters(Foreign):
    method: str
    model: str
    attack_type: str = ""
    defense: str | None = None


def fits(document: Any) -> bool:
    """Return whether a document is an artifact."""
    return isinstance(document, dict) and {"parameters", "jailbreaks"} <= document.keys()


def read(path: Path, text: str) -> Imported:
    """Return the attempts of an artifact; goals for which the method found no prompt are left out.

    Raises:
        BadFileError: it is not what JailbreakBench writes.
    """
    document = whole(path, text)
    parameters = parsed(path, _Parameters, document["parameters"], ("parameters",))
    rows = document["jailbreaks"]
    if not isinstance(rows, list):
        raise wrong(path, ("jailbreaks",), "'jailbreaks' is not a list.")
    skipped, made = Counter[str](), list[ImportedAttempt]()
    for number, row in enumerate(rows):
        each = parsed(path, _Jailbreak, row, ("jailbreaks", number))
        if not each.prompt or not each.prompt.strip():
            skipped["no prompt was found for the goal"] += 1
            continue
        made.append(_attempt(each, each.prompt, parameters))
    target = parameters.model + (f" behind {parameters.defense}" if parameters.defense else "")
    return Imported(
        tool="JailbreakBench",
        target=target,
        attempts=tuple(made),
        skipped=dict(skipped),
        source="JailbreakBench",
        licence="MIT",
    )


def whole(path: Path, text: str) -> dict[str, Any]:
    """Return a file that is one JSON object; BadFileError with line and column if it is not."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadFileError(path, f"Not JSON: {error.msg}.", line=error.lineno, column=error.colno) from None
    if not isinstance(document, dict):
        raise BadFileError(path, "Not a JSON object.", line=1)
    return document


def _attempt(each: _Jailbreak, prompt: str, parameters: _Parameters) -> ImportedAttempt:
    usage = Usage(prompt_tokens=each.prompt_tokens or 0, completion_tokens=each.response_tokens or 0)
    reply = Reply.error("no response in the artifact")
    if each.response is not None:
        status = ReplyStatus.COMPLETE if each.response.strip() else ReplyStatus.EMPTY
        reply = Reply(status=status, text=each.response, usage=usage)
    return ImportedAttempt(
        attack=f"jailbreakbench {parameters.method}",
        objective=each.goal,
        conversation=user(prompt),
        reply=reply,
        success=each.jailbroken,
        score=None if each.jailbroken is None else float(each.jailbroken),
        by="jailbroken",
        hazard=hazard_of((each.category, each.behavior)),
        note=each.category,
    )
