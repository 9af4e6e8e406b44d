"""Pulls of one blob over plain HTTP, as many at once as a test likes."""

import asyncio
import hashlib
import socket
from collections.abc import Callable

import aiohttp

CHUNK = 256 * 1024


def session(address: str, authorization: str) -> aiohttp.ClientSession:
    """A client of one registry, without a limit on connections or on time."""
    return aiohttp.ClientSession(
        f"http://{address}",
        headers={"Authorization": authorization},
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        timeout=aiohttp.ClientTimeout(total=None, sock_read=60),
        auto_decompress=False,
    )


async def digest_of(
    client: aiohttp.ClientSession, path: str, *, on_first_byte: Callable[[], object] = lambda: None
) -> str:
    """Pulls a blob to its end and hashes it.

    Raises aiohttp.ClientPayloadError when the body is cut short, ClientResponseError for anything but 200.
    """
    hasher = hashlib.sha256()
    async with client.get(path) as response:
        response.raise_for_status()
        hasher.update(await response.content.readany())
        on_first_byte()
        async for chunk in response.content.iter_chunked(CHUNK):
            hasher.update(chunk)
    return f"sha256:{hasher.hexdigest()}"


class SlowReader:
    """A client that reads as far as it is told and then lets the connection hang, its small buffers full."""

    def __init__(self, address: str, path: str, authorization: str):
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._head = (
            f"GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {authorization}\r\n\r\n".encode()
        )

    async def start(self) -> None:
        """Asks for the blob and reads the head of the answer, which must be 200."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (self._host, self._port))
        self._reader, self._writer = await asyncio.open_connection(sock=connection, limit=32 * 1024)
        self._writer.write(self._head)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head

    async def read(self, count: int) -> None:
        """Reads this many bytes of the body."""
        while count:
            piece = await self._reader.read(min(count, 64 * 1024))
            assert piece, "the transfer was cut short"
            count -= len(piece)

    async def close(self) -> None:
        """Leaves in the middle of the transfer."""
        self._writer.transport.abort()
        await asyncio.sleep(0)
