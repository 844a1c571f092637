"""How often a session may ask the target: so many times, or as often as it is granted."""

from __future__ import annotations

from typing import Protocol

import anyio


class Allowance(Protocol):
    """The calls of the target that one session has."""

    @property
    def used_up(self) -> bool:
        """Whether there will be no further call."""
        ...

    async def take(self, wanted: int) -> int:
        """Return how many of the calls that are wanted may be made now; 0 if there will be no more."""
        ...


class Fixed:
    """So many calls and no more."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    @property
    def used_up(self) -> bool:
        """Whether all are made."""
        return self._left == 0

    async def take(self, wanted: int) -> int:
        """Return the smaller of what is wanted and what is left."""
        taken = min(wanted, self._left)
        self._left -= taken
        return taken


class Granted:
    """Calls that are granted a few at a time; a session without any waits for more.

    ``resting`` is set while the session waits, and once it has ended; ``returned`` is what it then had left.
    """

    def __init__(self) -> None:
        self.resting = anyio.Event()
        self.closed = False
        self.returned = 0
        self._left = 0
        self._more = anyio.Event()

    @property
    def used_up(self) -> bool:
        """Whether nothing is left and nothing will be granted."""
        return self.closed

    def grant(self, calls: int) -> None:
        """Let the session go on with so many calls."""
        self._left += calls
        self.resting = anyio.Event()
        self._wake()

    def end(self) -> None:
        """Grant nothing more."""
        if not self.closed:
            self.returned, self._left, self.closed = self._left, 0, True
            self.resting.set()
            self._wake()

    async def take(self, wanted: int) -> int:
        """Return how many of the calls that are wanted may be made, as soon as there are any."""
        while not self._left and not self.closed:
            self.resting.set()
            await self._more.wait()
        taken = min(wanted, self._left)
        self._left -= taken
        return taken

    def _wake(self) -> None:
        self._more.set()
        self._more = anyio.Event()
