"""Clients that try https on the plain port, as docker, podman and skopeo do, learn at once that it is not."""

import asyncio
import ssl

import pytest

from clients.process.listen import Address, bind
from dataplane.http.limits import Limits
from dataplane.http.message import Answer, Request
from dataplane.http.server import Server


async def answer(request: Request) -> Answer:
    """Answers anything."""
    return Answer.whole(200, (), b"hello")


async def test_a_client_that_begins_with_tls() -> None:
    """It sees an answer in plain HTTP, which is no TLS record, and need not wait for a time-out."""
    sockets = bind(Address("127.0.0.1", 0), "test")
    port = sockets[0].getsockname()[1]
    # So long that only an answer can end the wait.
    server = Server(answer, limits=Limits(idle=3600))
    server.start(sockets)
    try:
        context = ssl.create_default_context()
        with pytest.raises(ssl.SSLError, match=r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE"):
            await asyncio.open_connection("127.0.0.1", port, ssl=context)

        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert f"Content-Length: {len(body)}".encode() in head.splitlines()
        assert b"not HTTPS" in body
        writer.close()
        await writer.wait_closed()
    finally:
        await server.stop(0)


async def test_the_same_byte_later_means_nothing() -> None:
    """Only the first byte of a connection counts."""
    sockets = bind(Address("127.0.0.1", 0), "test")
    server = Server(answer)
    server.start(sockets)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", sockets[0].getsockname()[1])
        for part in (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n", b"\x16\x16\x16"):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.close()
        await writer.wait_closed()
    finally:
        await server.stop(0)
