"""The rest of a long body: the kernel may gather bytes, but keeps none from the reader for long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from clients.oci.blob import BlobAccess, open_blob
from clients.oci.digest import Digest
from clients.oci.transport import Transport

MiB = 1 << 20
SIZE = 40 * MiB
# Seconds after which something is held back for good.
PATIENCE = 10


class HaltingUpstream:
    """Sends a body up to each of some points, and goes on when `reached` says that it has come so far."""

    def __init__(self, points: list[int]) -> None:
        self._points = points
        self._read = 0
        self._progress = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[BlobAccess]:
        """Serve on loopback."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            host, port = server.sockets[0].getsockname()
            yield BlobAccess(f"http://{host}:{port}", "team/app", "", allow_private=True)

    def reached(self, count: int) -> None:
        """Hear how much of the body its reader has."""
        self._read = count
        self._progress.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        for start, stop in pairwise([0, *self._points, SIZE]):
            writer.write(bytes(stop - start))
            await writer.drain()
            while self._read < stop:
                self._progress.clear()
                await self._progress.wait()
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "points",
    [
        pytest.param([20_000, 20_001, 150_000, 151_000], id="slow from the start"),
        pytest.param([24 * MiB, 24 * MiB + 1, 24 * MiB + 70_000], id="slow after it was quick"),
        pytest.param([SIZE - MiB - 1, SIZE - MiB + 1, SIZE - 1], id="slow at its end"),
    ],
)
async def test_an_upstream_that_goes_on_only_when_its_bytes_were_read(
    transport: Transport, points: list[int]
) -> None:
    """Whatever comes is handed on, however little it is: a client may be waiting for just these bytes."""
    upstream = HaltingUpstream(points)
    count = 0
    async with (
        upstream.running() as access,
        asyncio.timeout(PATIENCE),
        open_blob(transport, access, Digest.of(b"")) as stream,
    ):
        async for chunk in stream.chunks():
            count += len(chunk)
            upstream.reached(count)
    assert count == SIZE
