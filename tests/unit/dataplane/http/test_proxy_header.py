"""Headers of the PROXY protocol: whose a connection is, and that not a byte behind them is taken."""

import asyncio
import ipaddress
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.http.proxy_header import BadProxyHeader, read_proxy_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
BEHIND = b"GET /v2/ HTTP/1.1\r\n\r\n"
V4 = ipaddress.ip_address("198.51.100.7").packed + ipaddress.ip_address("192.0.2.1").packed
V6 = ipaddress.ip_address("2001:db8::7").packed + ipaddress.ip_address("2001:db8::1").packed
PORTS = struct.pack("!HH", 4711, 8080)


def binary(family: int, rest: bytes, command: int = 0x21) -> bytes:
    """A header of version 2."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


async def read(sent: bytes, *, step: int = 1 << 16) -> tuple[str | None, bytes]:
    """What is read from bytes that come so many at a time, and what is left."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)

        async def send() -> None:
            for start in range(0, len(sent), step):
                theirs.send(sent[start : start + step])
                await asyncio.sleep(0)
            theirs.shutdown(socket.SHUT_WR)

        sending = asyncio.create_task(send())
        try:
            async with asyncio.timeout(20):
                client = await read_proxy_header(ours)
        finally:
            await sending
        return client, ours.recv(1 << 16)


@pytest.mark.parametrize("step", [1, 1 << 16])
@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 8080\r\n", "198.51.100.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 8080\r\n", "2001:db8::7"),
        (b"PROXY TCP6 ::ffff:198.51.100.7 ::1 4711 8080\r\n", "198.51.100.7"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
        (binary(0x11, V4 + PORTS), "198.51.100.7"),
        (binary(0x21, V6 + PORTS), "2001:db8::7"),
        # Extensions are passed over, up to the most that there can be.
        (binary(0x11, V4 + PORTS + b"\x04\x00\x01x" * 13_000), "198.51.100.7"),
        # The proxy itself, by and for itself; a family that has no addresses of the Internet.
        (binary(0x00, b"", command=0x20), None),
        (binary(0x11, V4 + PORTS, command=0x20), None),
        (binary(0x31, bytes(216)), None),
    ],
)
async def test_headers(header: bytes, client: str | None, step: int) -> None:
    """Whole, and byte by byte."""
    if step > 1 or len(header) < 1000:
        assert await read(header + BEHIND, step=step) == (client, BEHIND)


@pytest.mark.parametrize(
    "sent",
    [
        BEHIND,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"PROXY TCP4 198.51.100.7\r\n" + BEHIND,
        b"PROXY TCP4 lb.example.com 192.0.2.1 4711 8080\r\n",
        b"PROXY TCP4 2001:db8::7 192.0.2.1 4711 8080\r\n",
        b"PROXY TCP9 198.51.100.7 192.0.2.1 4711 8080\r\n",
        b"PROXY " + b"x" * 500 + b"\r\n",
        binary(0x11, V4 + PORTS, command=0x31),
        binary(0x11, V4 + PORTS, command=0x22),
        binary(0x11, V4),
        binary(0x21, V4 + PORTS),
    ],
)
async def test_what_is_no_header(sent: bytes) -> None:
    """Plain HTTP and TLS, versions to come, and addresses that are none."""
    with pytest.raises(BadProxyHeader):
        await read(sent)


@pytest.mark.parametrize(
    "sent", [b"", b"PROXY", b"PROXY TCP4 198.51.100.7 192", SIGNATURE, binary(0x11, V4)[:-3]]
)
async def test_what_ends_first(sent: bytes) -> None:
    """A load balancer that only looks whether somebody listens."""
    with pytest.raises(EOFError):
        await read(sent)


@given(st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE]))
def test_any_bytes(sent: bytes, before: bytes) -> None:
    """There is an address, or none, or one of the three ends."""
    try:
        client, _ = asyncio.run(read(before + sent))
    except (BadProxyHeader, EOFError):
        return
    assert client is None or ipaddress.ip_address(client)
