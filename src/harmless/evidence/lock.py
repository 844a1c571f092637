"""One process at a time may work on a run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harmless.errors import EvidenceError


@contextmanager
def run_lock(workspace: Path, run: str) -> Iterator[None]:
    """Hold the lock of a run until the block ends.

    The lock is an exclusive SQLite transaction on a file of its own: it works on every system that the store
    works on, and ends with the process, however that dies.

    Raises:
        EvidenceError: another process holds it, or the file cannot be made.
    """
    path = workspace / "locks" / f"{run}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, isolation_level=None, timeout=0)
        db.execute("BEGIN EXCLUSIVE")
    except (sqlite3.Error, OSError) as error:
        if "locked" in str(error):
            raise EvidenceError(
                f"Another process is working on run {run}.", "Wait until it is done, or stop it."
            ) from error
        raise EvidenceError(f"{path} cannot be locked: {error}.", "Use another --workspace.") from error
    try:
        yield
    finally:
        db.close()  # the file stays: removing it would let a third process lock another one
