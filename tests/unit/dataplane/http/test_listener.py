"""A server that has no file descriptor left for a client."""

import asyncio
import socket

from clients.process.listen import Address, bind
from dataplane.descriptors import Descriptors
from dataplane.http.message import Answer, Request
from dataplane.http.server import Server
from tests.fakes.descriptors import none_left
from tests.unit.dataplane.http.serving import CLOSE, get


async def answer(request: Request) -> Answer:
    """Answers anything."""
    return Answer.whole(200, (), b"hello")


async def test_clients_wait_until_there_is_a_descriptor_for_them() -> None:
    """It is told of, tried again a few times a second and not all the time, and over by itself."""
    now = [1000.0]
    descriptors = Descriptors(lambda: now[0])
    sockets = bind(Address("127.0.0.1", 0), "test")
    server = Server(answer, descriptors=descriptors)
    server.start(sockets)
    loop = asyncio.get_running_loop()
    try:
        with socket.socket() as client:
            client.setblocking(False)
            with none_left():
                await loop.sock_connect(client, sockets[0].getsockname())
                await loop.sock_sendall(client, get("/", CLOSE))
                await asyncio.sleep(0.5)
                (metric,) = descriptors.collect()
                assert 1 <= metric.samples[0].value <= 4
                assert "LimitNOFILE" in descriptors.trouble
            received = b""
            async with asyncio.timeout(20):
                while piece := await loop.sock_recv(client, 65536):
                    received += piece
        assert received.endswith(b"hello")
        now[0] += 61
        assert descriptors.trouble == ""
    finally:
        await server.stop(0)


async def test_it_can_be_stopped_meanwhile() -> None:
    """Nothing is left that would go on to look at a socket that is closed."""
    sockets = bind(Address("127.0.0.1", 0), "test")
    server = Server(answer, descriptors=Descriptors())
    server.start(sockets)
    with socket.socket() as client:
        client.setblocking(False)
        with none_left():
            await asyncio.get_running_loop().sock_connect(client, sockets[0].getsockname())
            await asyncio.sleep(0.05)
            await server.stop(0)
        await asyncio.sleep(0.3)
