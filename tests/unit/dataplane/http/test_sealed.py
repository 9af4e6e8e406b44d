"""The registry's port with a certificate: the same answers, encrypted."""

import asyncio
import os
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from clients.process import replaced
from clients.process.tls import KeyFiles
from dataplane.http.limits import Hits, Limits
from dataplane.http.message import Answer, Chunk, Pieces, Request
from dataplane.http.server import Server
from tests.fakes.waiting import until
from tests.servers.certificates import Authority

CONTENT = random.Random(2).randbytes(5_000_001)
CLOSE = "Connection: close\r\n"


class Sealed:
    """A server with a certificate, and a client that trusts it."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority()
        self.hits = Hits()
        self.sent = 0
        self.pair = pair = self.authority.issue(directory, "127.0.0.1")
        limits = Limits(idle=0.3, stall=0.3)
        tls = KeyFiles("PENSTOCK_TLS", pair.certificate, pair.key).served()
        self.server = Server(self.answer, self.count, limits=limits, hits=self.hits, tls=tls)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]

    async def answer(self, request: Request) -> Answer:
        chunks: list[Chunk] = [CONTENT[at : at + 256_000] for at in range(0, len(CONTENT), 256_000)]
        if request.target == "/endless":
            return Answer(200, (), Pieces(bytes(1 << 18) for _ in iter(int, 1)), 1 << 50)
        return Answer(200, (), Pieces(chunks), len(CONTENT))

    def count(self, size: int) -> None:
        self.sent += size

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = self.authority.client_context()
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context, limit=1 << 16)


def certificate(writer: asyncio.StreamWriter) -> bytes:
    """What the server has shown on a connection."""
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return found


@pytest.fixture
async def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sealed]:
    """It, running; looks at its certificate often."""
    monkeypatch.setattr(replaced, "_LOOK", 0.02)
    found = Sealed(tmp_path)
    found.server.start([found.listener])
    yield found
    await found.server.stop(0)
    assert (found.server.active, found.server.connections) == (0, 0)


async def test_a_large_body(sealed: Sealed) -> None:
    """Whole, twice on one connection, over TLS 1.2 or later, without another protocol than HTTP/1.1."""
    reader, writer = await sealed.connect()
    tls = writer.get_extra_info("ssl_object")
    assert tls.version() in ("TLSv1.2", "TLSv1.3")
    for last in ("", CLOSE):
        writer.write(f"GET /blob HTTP/1.1\r\nHost: x\r\n{last}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert f"Content-Length: {len(CONTENT)}\r\n".encode() in head
        assert await reader.readexactly(len(CONTENT)) == CONTENT
    assert await reader.read() == b""
    assert sealed.sent == 2 * len(CONTENT)
    writer.close()


async def test_a_client_that_takes_nothing(sealed: Sealed) -> None:
    """It is cut, and that is counted; what it did not take is not made."""
    reader, writer = await sealed.connect()
    writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(20):
        while sealed.server.connections:  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(0.02)
    assert sealed.hits.stall == 1
    assert sealed.sent < 64 << 20
    writer.transport.abort()


async def test_clients_that_do_not_speak_tls(sealed: Sealed) -> None:
    """Plain HTTP, nonsense and silence end, and disturb nobody."""
    for said in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(100), b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", sealed.port)
        writer.write(said)
        async with asyncio.timeout(20):
            with suppress(ConnectionError):
                assert b"200" not in await reader.read()
        writer.close()
    reader, writer = await sealed.connect()
    writer.write(f"HEAD / HTTP/1.1\r\nHost: x\r\n{CLOSE}\r\n".encode())
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()


async def test_clients_that_are_gone_at_once(sealed: Sealed) -> None:
    """Reset before anybody looked at them, as probes do: nothing of them is left, and nothing is logged."""
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", sealed.port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _, writer = await sealed.connect()
    assert sealed.server.connections == 1
    writer.close()


async def test_a_renewed_certificate(sealed: Sealed, tmp_path: Path) -> None:
    """It is shown to who connects soon after; who is connected goes on. A disk that hangs holds up nobody."""
    former = await sealed.connect()
    shown = certificate(former[1])
    # A file that is opened by nobody, and so by nobody who reads it.
    os.mkfifo(tmp_path / "hanging")
    (tmp_path / "link").hardlink_to(tmp_path / "hanging")
    (tmp_path / "hanging").replace(sealed.pair.certificate)
    await asyncio.sleep(0.1)
    async with asyncio.timeout(10):
        reader, writer = await sealed.connect()
    assert certificate(writer) == shown
    writer.close()
    # Into the files of the first one.
    sealed.pair.certificate.unlink()
    sealed.authority.issue(tmp_path, "127.0.0.1")
    (tmp_path / "link").open("wb").close()

    async def is_renewed() -> bool:
        _, writer = await sealed.connect()
        writer.close()
        return certificate(writer) != shown

    await until(is_renewed)
    reader, writer = former
    writer.write(f"HEAD / HTTP/1.1\r\nHost: x\r\n{CLOSE}\r\n".encode())
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
