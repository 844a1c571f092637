"""Clients of web services in more than one event loop."""

from __future__ import annotations

import anyio
import anyio.lowlevel

from harmless.targets.connection import Connection


class Client:
    """Counts how often it is closed."""

    def __init__(self) -> None:
        self.closed = 0

    async def __aexit__(self, *_: object) -> None:
        await anyio.lowlevel.checkpoint()  # as a real one, it needs a loop that runs
        self.closed += 1


def test_each_loop_has_a_client_of_its_own_which_is_closed_at_its_end() -> None:
    made: list[Client] = []

    def make() -> Client:
        made.append(Client())
        return made[-1]

    connection = Connection(make)

    async def use() -> Client:
        first = await connection.here()
        assert first is await connection.here()
        assert not first.closed
        return first  # type: ignore[no-any-return]

    used = [anyio.run(use) for _ in range(3)]
    assert used == made
    assert [each.closed for each in made] == [1, 1, 1]


def test_it_can_be_closed_before() -> None:
    async def close() -> Client:
        connection = Connection(Client)
        client = await connection.here()
        await connection.aclose()
        assert client.closed == 1
        return client  # type: ignore[no-any-return]

    anyio.run(close)
