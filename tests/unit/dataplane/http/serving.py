"""An HTTP server on a real socket, and the bytes that clients exchange with it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from dataplane.http.limits import Hits, Limits
from dataplane.http.message import Answer, Chunk, Request
from dataplane.http.server import Server
from dataplane.http.service import Quick

HOST = b"Host: x\r\n"


class Slow:
    """A Stream that waits to be let go before it gives its one chunk, and knows whether it was closed."""

    def __init__(self, chunk: bytes = b"done") -> None:
        self.chunk: bytes | None = chunk
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.closed = asyncio.Event()

    async def read(self) -> Chunk | None:
        self.begun.set()
        await self.go.wait()
        chunk, self.chunk = self.chunk, None
        return chunk

    async def close(self) -> None:
        self.closed.set()


class Running:
    """A server, and what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: dict[str, Callable[[], Answer]] = {}
        self.sent = 0
        self.port = 0
        self.hits = Hits()
        self.server: Server

    async def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        make = self.answers.get(request.target)
        return make() if make else Answer.whole(200, (("X-Test", "1"),), request.target.encode())

    def count(self, size: int) -> None:
        self.sent += size

    async def connect(self, limit: int = 1 << 24) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=limit)

    async def exchange(self, sent: bytes) -> bytes:
        """Send bytes, and give all that comes until the server hangs up."""
        reader, writer = await self.connect()
        writer.write(sent)
        async with asyncio.timeout(20):
            received = await reader.read()
        writer.close()
        await writer.wait_closed()
        return received


@asynccontextmanager
async def running(
    quick: Quick | None = None, *, traced: bool = False, **options: float
) -> AsyncIterator[Running]:
    """Run a server on a free port."""
    found = Running()
    found.server = Server(
        found.answer, found.count, limits=Limits(**options), hits=found.hits, quick=quick, traced=traced
    )
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    found.port = listener.getsockname()[1]
    found.server.start([listener])
    try:
        yield found
    finally:
        await found.server.stop(0)
        assert found.server.active == 0


def get(target: str = "/", *headers: bytes, method: str = "GET") -> bytes:
    """A request as bytes."""
    return (
        f"{method} {target} HTTP/1.1\r\n".encode() + HOST + b"".join(h + b"\r\n" for h in headers) + b"\r\n"
    )


CLOSE = b"Connection: close"


def status(received: bytes) -> int:
    """The status of an answer."""
    return int(received.split(b" ", 2)[1])


def body(received: bytes) -> bytes:
    """What follows the headers of an answer."""
    return received.partition(b"\r\n\r\n")[2]


class Endless:
    """A Stream without end, as fast as it is taken."""

    def __init__(self) -> None:
        self.given = 0
        self.closed = asyncio.Event()

    async def read(self) -> Chunk | None:
        self.given += 1
        return bytes(256 << 10)

    async def close(self) -> None:
        self.closed.set()
