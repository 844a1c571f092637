"""Clients of web services that outlive an event loop: a script may call ``anyio.run`` more than once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any


class Connection:
    """An asynchronous client, made anew for each event loop, and closed at its end.

    Connections live and die with the loop that opened them: in another one they fail.

    Args:
        make: returns the client, which is an asynchronous context manager.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened: AsyncIterator[Any] | None = None
        self.client = make()
        """The client; :meth:`here` says whether it is that of the running loop."""

    async def here(self) -> Any:
        """Return the client of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None:
                self.client = self._make()
            self._loop, self._opened = loop, _open(self.client)
            await anext(self._opened)
        return self.client

    async def aclose(self) -> None:
        """Close the connections."""
        await _close(self.client)


async def _open(client: Any) -> AsyncIterator[Any]:
    """Yield the client, and close it when the loop ends: then asyncio closes the generators that are open."""
    try:
        yield client
    finally:
        await _close(client)


async def _close(client: Any) -> None:
    await client.__aexit__(None, None, None)
