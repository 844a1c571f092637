"""Starting a command and killing it again."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


def made(database: Path) -> int:
    if not database.exists():
        return 0
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        try:
            return int(db.execute("SELECT count(*) FROM attempts").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def killed(command: Sequence[str], database: Path, rng: random.Random, wanted: int) -> int:
    """Start ``command``, kill -9 it soon after ``wanted`` attempts are made, and return how many there are."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while process.poll() is None and made(database) < wanted:
        time.sleep(0.005)
    time.sleep(rng.random() * 0.02)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return made(database)
