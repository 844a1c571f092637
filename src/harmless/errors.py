"""One tree of errors; each says what happened, what to do next, and whether to retry.

The CLI prints ``message`` and ``next_step`` and leaves with ``exit_code``; it never prints a traceback
for a :class:`HarmlessError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar


class HarmlessError(Exception):
    """Base of all errors that a user may see.

    Args:
        message: what happened, one sentence.
        next_step: what the user can do about it, one sentence; may be empty.
    """

    exit_code: ClassVar[int] = 2
    retry: ClassVar[bool] = False

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message} {self.next_step}".strip()


class UsageError(HarmlessError):
    """The command or call itself is wrong."""


class UnknownNameError(UsageError):
    """A name that is not in a registry or a taxonomy; suggests the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        folded = {each.lower(): each for each in names}
        near = [folded[each] for each in difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.5)]
        hint = f"Did you mean {', '.join(near)}?" if near else _listed(names)
        super().__init__(f"Unknown {kind} '{name}'.", hint)


def _listed(names: Sequence[str], most: int = 20) -> str:
    if not names:
        return "There is none yet."
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"Known: {', '.join(names[:most])}{more}."


class BadFileError(UsageError):
    """A file that cannot be read as what it should be; names the place.

    Args:
        path: the file.
        message: what is wrong there.
        line: 1-based line, if known.
        column: 1-based column, if known.
        next_step: what the user can do.
    """

    def __init__(
        self,
        path: str | Path,
        message: str,
        *,
        line: int | None = None,
        column: int | None = None,
        next_step: str = "",
    ) -> None:
        place = ":".join(str(part) for part in (path, line, column) if part is not None)
        super().__init__(f"{place}: {message}", next_step)
        self.path, self.line, self.column = Path(path), line, column

    @classmethod
    def not_yaml(cls, path: str | Path, error: Exception) -> BadFileError:
        """Return the error of a file that PyYAML cannot read, with the place where it tells one."""
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        return cls(path, f"Not YAML: {problem}.", line=line, column=column, next_step="Mend that line.")


class MissingExtraError(UsageError):
    """An optional package is needed and not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}'.", f"Run: pip install 'harmless[{extra}]'")


class EvidenceError(HarmlessError):
    """The evidence store cannot be used, or refuses what is asked of it."""


class UnlikePlansError(EvidenceError):
    """Two runs cannot be compared because they did not ask the same thing."""


class UnreachableError(HarmlessError):
    """The target or a guard could not be reached, so nothing could be assessed."""

    exit_code: ClassVar[int] = 3
    retry: ClassVar[bool] = True


class GateFailedError(HarmlessError):
    """A gate of the policy failed."""

    exit_code: ClassVar[int] = 1
