"""The evidence store: one SQLite file a workspace, append-only, safe against kill -9 at any moment.

WAL with ``synchronous=NORMAL``: a commit survives the death of the process (a power cut may take the last
few commits, but never corrupts the file).
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from harmless.core import Prompt, Reply, Verdict
from harmless.errors import EvidenceError, UnknownNameError, UsageError
from harmless.evidence.records import Attempt, RunRecord, Step

#: A run that has one of these events last is not under way.
CLOSING_EVENTS = ("finished", "aborted")

#: How long another process that writes is waited for, in seconds.
PATIENCE_S = 30.0

#: What a later start makes again; a guard that could not judge may be able to then.
_FAILED = "(status = 'error' OR coalesce(json_extract(reply, '$.unjudged'), 0))"


class Store:
    """Runs, attempts and verdicts of one workspace.

    Args:
        path: the SQLite file; made with its folders if it is not there.

    Raises:
        EvidenceError: the file cannot be opened, is not a store, or was written by a newer version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                self.path, isolation_level=None, timeout=PATIENCE_S, check_same_thread=False
            )
            self._use_wal()
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._migrate()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # runs

    def add_run(self, record: RunRecord, prompts: Iterable[Prompt]) -> None:
        """Add a run with the prompts of its plan, in their order, in one transaction."""
        row = record.model_dump(mode="json")
        values = [v if isinstance(v, str) else json.dumps(v) for v in row.values()]
        with self._told(), self._transaction():
            marks = ",".join("?" * len(values))
            self._db.execute(f"INSERT INTO runs ({','.join(row)}) VALUES ({marks})", values)
            self._db.executemany(
                "INSERT INTO prompts VALUES (?,?,?,?)",
                ((record.id, i, p.id, p.model_dump_json(exclude_defaults=True)) for i, p in enumerate(prompts)),
            )

    def run(self, name: str) -> RunRecord:
        """Return the run whose id is, or starts uniquely with, ``name``; ``latest`` is the newest one.

        Raises:
            UnknownNameError: no run, or several, fit.
            UsageError: the newest one is wanted, and there is none.
        """
        if name == "latest":
            rows = self._rows("SELECT * FROM runs ORDER BY created_at DESC, rowid DESC LIMIT 1")
            if not rows:
                raise UsageError(
                    f"No runs yet in {self.path.parent}.", "Make one: harmless check embedded --suite quick"
                )
        else:
            rows = self._rows("SELECT * FROM runs WHERE id = ?", name) or self._rows(
                "SELECT * FROM runs WHERE substr(id, 1, length(?)) = ? LIMIT 2", name, name
            )
        if len(rows) != 1:
            raise UnknownNameError("run", name, (r["id"] for r in self._rows("SELECT id FROM runs")))
        return RunRecord.from_row(rows[0])

    def runs(self) -> list[RunRecord]:
        """Return all runs, newest first."""
        rows = self._rows("SELECT * FROM runs ORDER BY created_at DESC, rowid DESC")
        return [RunRecord.from_row(row) for row in rows]

    def latest_with_key(self, key: str) -> RunRecord | None:
        """Return the newest run of the same command, None if there is none."""
        rows = self._rows("SELECT * FROM runs WHERE key = ? ORDER BY created_at DESC, rowid DESC LIMIT 1", key)
        return RunRecord.from_row(rows[0]) if rows else None

    def prompts(self, run: str) -> list[Prompt]:
        """Return the prompts of a run's plan in their order."""
        rows = self._rows("SELECT prompt FROM prompts WHERE run = ? ORDER BY position", run)
        return [Prompt.model_validate_json(row["prompt"]) for row in rows]

    def add_event(self, run: str, event: str, detail: str = "") -> None:
        """Note what happened to a run."""
        with self._told():
            self._db.execute(
                "INSERT INTO run_events (run, at, event, detail, upto)"
                " VALUES (?,?,?,?,(SELECT coalesce(max(id), 0) FROM attempts))",
                (run, now(), event, detail),
            )

    def events(self, run: str) -> list[tuple[str, str, str]]:
        """Return (time, event, detail) of a run, oldest first."""
        rows = self._rows("SELECT at, event, detail FROM run_events WHERE run = ? ORDER BY id", run)
        return [(row["at"], row["event"], row["detail"]) for row in rows]

    def state(self, run: str) -> str:
        """Return the last event of a run that tells its state (``started`` if it has none)."""
        rows = self._rows(
            "SELECT event FROM run_events WHERE run = ? AND event != 'settled' ORDER BY id DESC LIMIT 1", run
        )
        return str(rows[0]["event"]) if rows else "started"

    # attempts

    def done(self, run: str) -> dict[str, int]:
        """Return key -> number of tries of the attempts that need not be made again.

        An attempt that failed counts as done while its run is under way, so that a killed run goes on where
        it stopped; once the run was closed, the same command tries the failed ones again.
        """
        rows = self._rows(
            "SELECT key, max(try) AS try, status FROM attempts WHERE run = ?"
            f" AND NOT ({_FAILED} AND id <= (SELECT coalesce(max(upto), 0) FROM run_events"
            "   WHERE run = ? AND event IN (?, ?))) GROUP BY key",
            run, run, *CLOSING_EVENTS,
        )  # fmt: skip
        return {row["key"]: row["try"] for row in rows}

    def tries(self, run: str) -> dict[str, int]:
        """Return key -> how often an attempt was made."""
        return {
            r["key"]: r["n"]
            for r in self._rows("SELECT key, count(*) AS n FROM attempts WHERE run = ? GROUP BY key", run)
        }

    def add_attempt(self, run: str, attempt: Attempt, step: Step | None = None) -> int:
        """Commit one attempt with its reply and, in an attack, what was said; returns its row id."""
        return self.add_attempts(run, [(attempt, step)])[0]

    def add_attempts(
        self,
        run: str,
        made: Sequence[tuple[Attempt, Step | None]],
        verdicts: Iterable[tuple[int, str, str, Verdict]] = (),
    ) -> list[int]:
        """Commit attempts, and verdicts on earlier ones, in one transaction; returns the attempts' row ids."""
        with self._told(), self._transaction():
            self._judge(verdicts)
            return [self._add(run, attempt, step) for attempt, step in made]

    def add_verdicts(self, rows: Iterable[tuple[int, str, str, Verdict]]) -> None:
        """Commit verdicts in one transaction: (attempt id, role, guard identity, verdict)."""
        with self._told(), self._transaction():
            self._judge(rows)

    def attempts(self, run: str, *, unjudged_by: Sequence[tuple[str, str]] = ()) -> Iterator[Attempt]:
        """Yield the last try of each attempt of a run with its verdicts, in the order of the plan.

        With ``unjudged_by`` ((role, guard identity), ...) only those that lack one of these verdicts.
        """
        missing = "".join(
            " OR NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.attempt = a.id AND v.role = ? AND v.guard = ?)"
            for _ in unjudged_by
        )
        where = f" AND (0{missing})" if unjudged_by else ""
        cursor = self._db.cursor()
        cursor.row_factory = sqlite3.Row
        cursor.execute(
            "SELECT a.*, (SELECT json_group_object(v.role, json(v.verdict)) FROM verdicts v"
            "   WHERE v.attempt = a.id) AS verdicts"
            " FROM attempts a WHERE a.run = ? AND NOT EXISTS"
            "   (SELECT 1 FROM attempts b WHERE b.run = a.run AND b.key = a.key AND b.try > a.try)"
            f"{where} ORDER BY a.position, a.sample",
            (run, *(part for pair in unjudged_by for part in pair)),
        )
        for row in cursor:
            yield Attempt.from_row(row)

    def steps(self, run: str) -> dict[int, Step]:
        """Return attempt id -> what was said, for all attempts of an attack."""
        rows = self._rows("SELECT s.* FROM steps s JOIN attempts a ON a.id = s.attempt WHERE a.run = ?", run)
        return {row["attempt"]: Step.from_row(row) for row in rows}

    def counts(self, run: str) -> tuple[int, int]:
        """Return how many prompts a run's plan has and how many attempts were made, tries not counted."""
        planned = self._rows("SELECT count(*) AS n FROM prompts WHERE run = ?", run)[0]["n"]
        made = self._rows("SELECT count(DISTINCT key) AS n FROM attempts WHERE run = ?", run)[0]["n"]
        return int(planned), int(made)

    def recall(self, ask: str) -> Reply | None:
        """Return the reply that the same question to the same target with the same sampling got, if any."""
        rows = self._rows(f"SELECT reply FROM attempts WHERE ask = ? AND NOT {_FAILED} LIMIT 1", ask)
        return Reply.model_validate_json(rows[0]["reply"]) if rows else None

    # inside

    def _judge(self, rows: Iterable[tuple[int, str, str, Verdict]]) -> None:
        self._db.executemany(
            "INSERT OR IGNORE INTO verdicts (attempt, role, guard, verdict) VALUES (?,?,?,?)",
            ((a, role, guard, v.model_dump_json(exclude_defaults=True)) for a, role, guard, v in rows),
        )

    def _add(self, run: str, attempt: Attempt, step: Step | None) -> int:
        cursor = self._db.execute(
            "INSERT INTO attempts (run, key, ask, position, sample, try, status, reply, at)"
            " VALUES (?,?,?,?,?,?,?,?,?)",
            (
                run, attempt.key, attempt.ask, attempt.position, attempt.sample, attempt.tries,
                attempt.reply.status.value, attempt.reply.model_dump_json(exclude_defaults=True),
                time.time(),
            ),
        )  # fmt: skip
        if step:
            said = json.dumps([message.model_dump() for message in step.conversation], ensure_ascii=False)
            self._db.execute(
                "INSERT INTO steps VALUES (?,?,?,?,?)",
                (cursor.lastrowid, step.attack, step.role, said, step.note),
            )
        return int(cursor.lastrowid or 0)

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._told():
            cursor = self._db.cursor()
            cursor.row_factory = sqlite3.Row
            return cursor.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise EvidenceError(f"The evidence store {self.path} failed: {error}.", _advice(error)) from error

    def _use_wal(self) -> None:
        """Set the journal mode; SQLite does not wait by itself for another process that does the same."""
        last = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > last:
                    raise
                time.sleep(0.01)

    def _migrate(self) -> None:
        files = sorted(
            (
                f
                for f in (resources.files("harmless.evidence") / "migrations").iterdir()
                if f.name.endswith(".sql")
            ),
            key=lambda f: f.name,
        )
        if self._version() == len(files):
            return
        with self._transaction():  # of several processes that find a new file, one makes the tables
            version = self._version()
            if version > len(files):
                raise EvidenceError(
                    f"{self.path} was written by a newer version of harmless.",
                    "Update harmless, or use another --workspace.",
                )
            for file in files[version:]:
                for statement in _statements(file.read_text()):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version={len(files)}")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script; ``executescript`` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def now() -> str:
    """Return the present time in UTC as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _advice(error: Exception) -> str:
    text = str(error).lower()
    if "full" in text or "no space" in text:
        return "Free some disk space and run the same command again: it goes on where it stopped."
    if "readonly" in text or "unable to open" in text or isinstance(error, PermissionError):
        return "Check that the folder can be written, or use another --workspace."
    if "not a database" in text or "malformed" in text:
        return "The file is not an evidence store; move it away or use another --workspace."
    if "locked" in text:
        return "Another process is writing; try again when it is done."
    return "Use another --workspace, or mend the file system."
