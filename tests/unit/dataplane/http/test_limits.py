"""What clients may have and take: each limit protects, says so, is counted, and lets go again."""

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from dataplane.http.errors import Code, Refusal
from dataplane.http.limits import Hits
from dataplane.http.message import Answer, FileAnswer, FilePart, Request
from dataplane.http.transfers import Shares, Transfers
from tests.unit.dataplane.http.serving import CLOSE, body, get, running, status

CONTENT = random.Random(3).randbytes(60 << 20)


async def test_connections() -> None:
    """One more than there may be is told to come back; when one has gone, there is room."""
    async with running(connections=2) as server:
        first, second = await server.connect(), await server.connect()
        for _, writer in (first, second):
            writer.write(get("/x"))
        for reader, _ in (first, second):
            await reader.readuntil(b"/x")
        received = await server.exchange(b"")
        assert status(received) == 503
        assert b"\r\nRetry-After: " in received
        assert server.server.connections == 2
        first[1].close()
        async with asyncio.timeout(20):
            while server.server.connections == 2:  # noqa: ASYNC110 - nobody sets an event
                await asyncio.sleep(0.01)
        assert body(await server.exchange(get("/y", CLOSE))) == b"/y"
        second[1].close()


async def test_headers_that_take_their_time() -> None:
    """They end by a clock of their own; what is idle has more time."""
    async with running(idle=3600, header=0.1) as server:
        assert await server.exchange(b"GET / HTTP/1.1\r\nHost: ") == b""
        reader, writer = await server.connect()
        await asyncio.sleep(0.3)
        writer.write(get("/late"))
        await reader.readuntil(b"/late")
        writer.close()


async def test_connections_that_are_used_stay() -> None:
    """However old they are; what counts is the time since the last request."""
    async with running(idle=0.4) as server:
        reader, writer = await server.connect()
        for number in range(8):
            writer.write(get(f"/{number}"))
            await reader.readuntil(f"\r\n\r\n/{number}".encode())
            await asyncio.sleep(0.1)
        assert await reader.read() == b""
        writer.close()


async def test_a_quick_answer_that_nobody_takes(tmp_path: Path) -> None:
    """Its connection is cut, its file let go of, and what was sent is known; slow readers are not cut."""
    path = tmp_path / "blob"
    path.write_bytes(CONTENT)
    done: list[int] = []

    with path.open("rb") as file:

        def quick(line: bytes, block: bytes, address: str) -> FileAnswer | None:
            if b" /blob " not in line:
                return None
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\n\r\n".encode()
            return FileAnswer(head, FilePart(file.fileno(), 0, len(CONTENT)), rest, done.append)

        async with running(quick, stall=1.0) as server:
            slow, writer = await server.connect(limit=1 << 16)
            writer.write(get("/blob") + get("/next", CLOSE))
            _, lazy = await server.connect()
            lazy.transport.pause_reading()  # type: ignore[attr-defined]
            lazy.write(get("/blob"))
            received = b""
            while not done:
                received += await slow.read(1 << 18)
                await asyncio.sleep(0.02)
            assert done[0] < len(CONTENT), "the lazy one was cut"
            received += await slow.read()
            assert CONTENT in received
            assert received.endswith(b"/next")
            assert sorted(done) == [done[0], len(CONTENT)]
            lazy.close()
            writer.close()


async def rest(start: int) -> AsyncGenerator[memoryview, None]:
    """What is not in the file."""
    yield memoryview(CONTENT)[start:]


def test_transfers() -> None:
    """For each token and for each address; nothing is remembered of those that have none."""
    hits = Hits()
    transfers = Transfers(Shares(token=2, address=3), hits)
    frees = [transfers.begin("t1", "a1"), transfers.begin("t1", "a2")]
    assert transfers.try_begin("t1", "a9") is None
    with pytest.raises(Refusal) as refused:
        transfers.begin("t1", "a9")
    assert refused.value.code is Code.TOOMANYREQUESTS
    assert refused.value.answer().status == 429
    frees += [transfers.begin("t2", "a1"), transfers.begin("t3", "a1")]
    with pytest.raises(Refusal, match="address"):
        transfers.begin("t4", "a1")
    assert (hits.token_transfers, hits.address_transfers) == (1, 1)
    frees.pop(0)()
    again = transfers.try_begin("t1", "a1")
    assert again is not None
    frees.append(again)
    for free in frees:
        free()
    assert transfers.known == 0
    unbounded = Transfers(Shares(), hits)
    assert all(unbounded.begin("t", "a") for _ in range(100))


async def test_an_answer_is_asked_with_the_address() -> None:
    """What limits are counted by."""
    async with running() as server:
        await server.exchange(get("/a", CLOSE))
        assert isinstance(server.requests[0], Request)
        assert server.requests[0].address == "127.0.0.1"
        server.answers["/b"] = lambda: Answer.whole(200, (), b"b")
        assert body(await server.exchange(get("/b", CLOSE))) == b"b"
