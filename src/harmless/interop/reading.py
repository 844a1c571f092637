"""Which tool wrote a file is seen by its content, not by its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harmless.errors import BadFileError, UsageError
from harmless.interop import garak, inspect_log, jailbreakbench, promptfoo, pyrit
from harmless.interop.imported import Imported


class Format(NamedTuple):
    """What a tool writes: how it is recognised by its first JSON value, and read."""

    about: str
    fits: Callable[[Any], bool]
    read: Callable[[Path, str], Imported]


FORMATS: Mapping[str, Format] = {
    "garak": Format("report.jsonl of garak", garak.fits, garak.read),
    "pyrit": Format("memory of PyRIT, exported as JSON", pyrit.fits, pyrit.read),
    "inspect": Format("log of Inspect AI as JSON", inspect_log.fits, inspect_log.read),
    "promptfoo": Format("results of promptfoo as JSON", promptfoo.fits, promptfoo.read),
    "jailbreakbench": Format("attack artifact of JailbreakBench", jailbreakbench.fits, jailbreakbench.read),
}


def read(path: str | Path, target: str | None = None) -> tuple[str, Imported]:
    """Return the name of a file's format and what is in it.

    Args:
        path: the file.
        target: which of several targets that it holds.

    Raises:
        BadFileError: it cannot be read, is of no format that we know, or is damaged; with the line.
        UsageError: it holds several targets and none is named, or not the one that is.
    """
    path = Path(path)
    text = _text(path)
    first = _first(path, text)
    name = next((name for name, each in FORMATS.items() if each.fits(first)), None)
    if name is None:
        known = "; ".join(each.about for each in FORMATS.values())
        raise BadFileError(path, "No format that is known.", line=1, next_step=f"Known: {known}.")
    found = FORMATS[name].read(path, text)
    if not found.attempts:
        told = ", ".join(f"{count} x {what}" for what, count in found.skipped.items()) or "it is empty"
        raise BadFileError(path, f"There is no attempt with a reply in it ({told}).")
    return name, _of_target(found, target)


def _of_target(found: Imported, target: str | None) -> Imported:
    names = sorted({each.target or found.target for each in found.attempts})
    if target is None and len(names) > 1:
        raise UsageError(
            f"The file holds replies of several targets: {', '.join(names)}.",
            "Name the one that was attacked: --target NAME. Another one may have written or judged.",
        )
    if target is not None and target not in names:
        raise UsageError(f"The file has no target '{target}'.", f"It has: {', '.join(names)}.")
    chosen = target or names[0]
    kept = tuple(each for each in found.attempts if (each.target or found.target) == chosen)
    return found.model_copy(update={"target": chosen, "attempts": kept})


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        step = (
            "If it is a log of Inspect AI: inspect log dump FILE.eval > FILE.json. Otherwise save it as UTF-8."
        )
        raise BadFileError(path, f"It is not UTF-8: {error.reason}.", next_step=step) from None
    except OSError as error:
        raise BadFileError(path, f"It cannot be read: {error.strerror}.", next_step="Check the path.") from None


def _first(path: Path, text: str) -> Any:
    """Return the first JSON value of a file, which is all of it where it is no JSON Lines."""
    start = len(text) - len(text.lstrip())
    try:
        return json.JSONDecoder().raw_decode(text, start)[0]
    except json.JSONDecodeError as error:
        raise BadFileError(path, f"Not JSON: {error.msg}.", line=error.lineno, column=error.colno) from None
