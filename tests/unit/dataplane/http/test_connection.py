"""Answers from files, quick ones and ordinary ones, when something goes wrong in the middle."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.http.message import Answer, FileAnswer, FilePart
from tests.unit.dataplane.http.serving import CLOSE, Running, body, get, running

SIZE = 6 << 20
CONTENT = random.Random(4).randbytes(SIZE)
HEAD = f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode()


class Body:
    """A FileBody over a file that may hold less than it should; the rest comes otherwise, or not at all."""

    def __init__(self, path: Path, rest: Callable[[int], AsyncGenerator[memoryview, None]]) -> None:
        self.file = path.open("rb")
        self.position = 0
        self.rest = rest
        self.pieces: AsyncGenerator[memoryview, None] | None = None

    async def part(self) -> FilePart | None:
        if self.position == SIZE:
            return None
        # In steps, as a blob that is still arriving has it.
        return FilePart(self.file.fileno(), self.position, min(SIZE, self.position + 1_000_000))

    def skip(self, count: int) -> None:
        self.position += count

    async def read(self) -> memoryview | None:
        if self.position == SIZE:
            return None
        self.pieces = self.pieces or self.rest(self.position)
        return await anext(self.pieces, None)

    async def close(self) -> None:
        if self.pieces is not None:
            await self.pieces.aclose()
        self.file.close()


class Source:
    """Gives CONTENT from a file of `length` bytes, as `/quick` and as `/ordinary`."""

    def __init__(self, path: Path, length: int) -> None:
        path.write_bytes(CONTENT[:length])
        self.path = path
        self.rest = rest
        self.open: list[int] = []
        self.done: list[int] = []

    def quick(self, line: bytes, block: bytes, address: str) -> FileAnswer | bytes | None:
        if b" /next " in line:
            return b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"
        if b" /quick " not in line:
            return None
        file = self.path.open("rb")
        self.open.append(file.fileno())

        def done(count: int) -> None:
            file.close()
            self.done.append(count)

        return FileAnswer(HEAD, FilePart(file.fileno(), 0, SIZE), lambda start: self.rest(start), done)

    def ordinary(self) -> Answer:
        return Answer(200, (), Body(self.path, self.rest), SIZE)


async def rest(start: int) -> AsyncGenerator[memoryview, None]:
    """From somewhere else than the file."""
    for at in range(start, SIZE, 500_000):
        yield memoryview(CONTENT)[at : min(SIZE, at + 500_000)]


async def no_rest(start: int) -> AsyncGenerator[memoryview, None]:
    """Half of it, and then no more."""
    yield memoryview(CONTENT)[start : start + 1000]
    raise BlobFailed(Fault.NODE, "This node cannot read the blob.")


@asynccontextmanager
async def serving(tmp_path: Path, length: int = SIZE) -> AsyncIterator[tuple[Running, Source]]:
    """A server of a file of which so much is there."""
    source = Source(tmp_path / "blob", length)
    async with running(source.quick, stall=20) as server:
        server.answers["/ordinary"] = source.ordinary
        yield server, source


@pytest.mark.parametrize("path", ["/quick", "/ordinary"])
@pytest.mark.parametrize("length", [SIZE, SIZE - 1, 3_500_000, 0])
async def test_a_file_that_has_lost_its_end(tmp_path: Path, path: str, length: int) -> None:
    """The rest comes from elsewhere; the client and the next requests notice nothing, and all is counted."""
    async with serving(tmp_path, length) as (server, source):
        received = await server.exchange(get(path) + get("/next") + get(path) + get("/last", CLOSE))
        parts = received.split(b"HTTP/1.1 200 OK\r\n")
        assert [body(part) for part in parts[1:]] == [CONTENT, b"next", CONTENT, b"/last"]
        assert sum(source.done) + server.sent == 2 * SIZE + len(b"/last")


async def a_bug(start: int) -> AsyncGenerator[memoryview, None]:
    """Half of it, and then what nobody foresaw."""
    yield memoryview(CONTENT)[start : start + 1000]
    raise ZeroDivisionError


@pytest.mark.parametrize("path", ["/quick", "/ordinary"])
@pytest.mark.parametrize("no_more", [no_rest, a_bug])
async def test_a_rest_that_cannot_be_had(
    tmp_path: Path,
    path: str,
    no_more: Callable[[int], AsyncGenerator[memoryview, None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The connection is cut below the announced length, and nothing that was sent behind is answered."""
    async with serving(tmp_path, 2_500_000) as (server, source):
        source.rest = no_more
        received = await server.exchange(get(path) + get("/next"))
        assert body(received) == CONTENT[: 2_500_000 + 1000]
    assert "cut short" in caplog.text


@pytest.mark.parametrize("path", ["/quick", "/ordinary"])
async def test_clients_that_leave_in_the_middle(tmp_path: Path, path: str) -> None:
    """Two hundred of them, at every stage: each file is closed once, and no transfer is left."""
    async with serving(tmp_path) as (server, source):

        async def leave(number: int) -> None:
            reader, writer = await server.connect(limit=1 << 14)
            writer.write(get(path)[: None if number % 4 else number % 30])
            if number % 4:
                await reader.read(1 + number * 997)
            writer.transport.abort()

        await asyncio.gather(*(leave(number) for number in range(200)))
        async with asyncio.timeout(20):
            while server.server.active or server.server.connections:  # noqa: ASYNC110 - nobody sets an event
                await asyncio.sleep(0.01)
        assert len(source.done) == len(source.open)


@pytest.mark.parametrize("path", ["/quick", "/ordinary"])
async def test_stopping_waits_for_files_too(tmp_path: Path, path: str) -> None:
    """A transfer by the kernel is a transfer like any other."""
    async with serving(tmp_path) as (server, _):
        reader, writer = await server.connect(limit=1 << 14)
        writer.write(get(path))
        await reader.readuntil(b"\r\n\r\n")
        stopping = asyncio.create_task(server.server.stop(20))
        await asyncio.sleep(0.05)
        assert not stopping.done()
        assert await reader.readexactly(SIZE) == CONTENT
        await stopping
        assert await reader.read() == b""
        writer.close()


async def test_what_is_sent_ahead_is_bounded(tmp_path: Path) -> None:
    """A client that pipelines without reading waits in the kernel's buffers, and not in this process."""
    async with serving(tmp_path) as (server, source):
        reader, writer = await server.connect(limit=1 << 14)
        many = get("/quick") * 500_000
        writer.write(many)
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.2)
        assert writer.transport.get_write_buffer_size() > 0
        assert len(source.open) - len(source.done) == 1
        writer.transport.abort()


async def test_many_small_answers_that_nobody_reads(tmp_path: Path) -> None:
    """They are made as they are taken, not before."""
    made = 0

    def quick(line: bytes, block: bytes, address: str) -> bytes:
        nonlocal made
        made += 1
        return b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)

    async with running(quick) as server:
        _, writer = await server.connect(limit=1 << 10)
        writer.write(get("/") * 5000)
        before = -1
        while made != before:
            before = made
            await asyncio.sleep(0.1)
        assert 0 < made < 1000
        writer.transport.abort()
