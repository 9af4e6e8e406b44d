"""The HTTP server, when it is told to stop: what is under way, and for how long it waits."""

import asyncio

import pytest

from dataplane.http.message import Answer
from tests.unit.dataplane.http.serving import Slow, body, get, running


async def test_stopping_lets_transfers_finish() -> None:
    """New connections are refused; the answer under way is whole, and idle connections end."""
    async with running() as server:
        slow = Slow()
        server.answers["/slow"] = lambda: Answer(200, (), slow, 4)
        idle = asyncio.create_task(server.exchange(get("/idle")))
        transfer = asyncio.create_task(server.exchange(get("/slow")))
        await slow.begun.wait()
        stopping = asyncio.create_task(server.server.stop(20))
        await asyncio.sleep(0.05)
        with pytest.raises(ConnectionRefusedError):
            await server.connect()
        assert not stopping.done()
        slow.go.set()
        assert body(await transfer) == b"done"
        await stopping
        assert body(await idle) == b"/idle"


@pytest.mark.parametrize("hurry", [False, True])
async def test_stopping_does_not_wait_for_ever(hurry: bool) -> None:
    """What is not finished in time, or when it is told to hurry, is cut and never ends cleanly."""
    async with running() as server:
        slow = Slow()
        server.answers["/slow"] = lambda: Answer(200, (), slow, 4)
        transfer = asyncio.create_task(server.exchange(get("/slow")))
        await slow.begun.wait()
        stopping = asyncio.create_task(server.server.stop(60 if hurry else 0.05))
        if hurry:
            await asyncio.sleep(0)
            await server.server.cut()
        async with asyncio.timeout(20):
            await stopping
        assert body(await transfer) == b""
        assert slow.closed.is_set()


async def test_while_stopping_connections_are_not_kept() -> None:
    """A client on a kept connection is told to open another, which goes elsewhere."""
    async with running() as server:
        slow = Slow()
        server.answers["/slow"] = lambda: Answer(200, (), slow, 4)
        reader, writer = await server.connect()
        writer.write(get("/first"))
        await reader.readuntil(b"/first")
        transfer = asyncio.create_task(server.exchange(get("/slow")))
        await slow.begun.wait()
        stopping = asyncio.create_task(server.server.stop(20))
        await asyncio.sleep(0)
        writer.write(get("/second"))
        second = await reader.read()
        assert body(second) == b"/second"
        assert b"Connection: close" in second
        slow.go.set()
        await transfer
        await stopping
        writer.close()
