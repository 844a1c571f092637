"""Where the sessions of a campaign commit: what comes at the same time is one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import anyio

from harmless.core import Verdict
from harmless.errors import EvidenceError
from harmless.evidence import Attempt, Step, Store

#: Seconds that the first of a transaction waits for others: little beside the time of a reply.
PATIENCE_S = 0.005


@dataclass
class _Page:
    """What goes into one transaction."""

    attempts: list[tuple[Attempt, Step | None]] = field(default_factory=list)
    verdicts: list[tuple[int, str, str, Verdict]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    led: bool = False
    written: anyio.Event = field(default_factory=anyio.Event)
    error: EvidenceError | None = None


class Ledger:
    """Commits the attempts and verdicts of one run; who adds to it goes on once they are in the store.

    Args:
        store: takes them.
        run: the run's id.
    """

    def __init__(self, store: Store, run: str) -> None:
        self._store, self._run = store, run
        self._page = _Page()

    async def add(self, attempt: Attempt, step: Step) -> Attempt:
        """Return the attempt with its row id; EvidenceError if the store cannot be written."""
        page = self._page
        page.attempts.append((attempt, step))
        place = len(page.attempts) - 1
        await self._written(page)
        return attempt.model_copy(update={"id": page.rows[place]})

    async def add_verdicts(self, rows: Iterable[tuple[int, str, str, Verdict]]) -> None:
        """Commit verdicts: (attempt id, role, guard identity, verdict); EvidenceError as with attempts."""
        page = self._page
        page.verdicts += rows
        await self._written(page)

    async def _written(self, page: _Page) -> None:
        if page.led:
            await page.written.wait()
        else:
            page.led = True
            # A leader that is cancelled must not leave the page of the others unwritten.
            with anyio.CancelScope(shield=True):
                await anyio.sleep(PATIENCE_S)
            self._write(page)
        if page.error:
            raise page.error

    def _write(self, page: _Page) -> None:
        self._page = _Page()
        try:
            page.rows = self._store.add_attempts(self._run, page.attempts, page.verdicts)
        except EvidenceError as error:
            page.error = error
        finally:
            page.written.set()
