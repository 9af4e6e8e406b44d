"""The header of the PROXY protocol, by which a proxy of connections says whose each of them is.

Versions 1 and 2, by HAProxy's "The PROXY protocol", sections 2.1 and 2.2.
"""

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Mapping
from typing import Final

from clients.process.networks import IPAddress, plain

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIRST: Final = b"PROXY "
_LINE: Final = b"\r\n"
# Of version 1, with its end; of version 2, before addresses and extensions.
_LONGEST_LINE: Final = 107
_FIXED: Final = 16
_VERSION: Final = 2
_LOCAL, _PROXY = 0, 1
# Family and transport to the addresses that follow, with their length in bytes; two ports are behind them.
_ADDRESSES: Final[Mapping[int, tuple[type[IPAddress], int]]] = {
    0x11: (ipaddress.IPv4Address, 4),
    0x21: (ipaddress.IPv6Address, 16),
}
_FAMILIES: Final[Mapping[str, type[IPAddress]]] = {
    "TCP4": ipaddress.IPv4Address,
    "TCP6": ipaddress.IPv6Address,
}


class BadProxyHeader(Exception):
    """A connection begins with something else; the text says with what."""


async def read_proxy_header(connection: socket.socket) -> str | None:
    """Read the header of a connection (non-blocking), and nothing that follows it.

    Gives the client's IP address; None where the proxy speaks for itself, or does not know. Raises
    BadProxyHeader, EOFError for a connection that ends first, and OSError. Takes as long as the proxy does.
    """
    beginning = await _exactly(connection, len(_SIGNATURE))
    if beginning == _SIGNATURE:
        return await _binary(connection)
    if beginning.startswith(_FIRST):
        return await _text(connection, beginning)
    raise BadProxyHeader(f"it begins with {beginning!r}")


async def _binary(connection: socket.socket) -> str | None:
    command, family, length = struct.unpack("!BBH", await _exactly(connection, _FIXED - len(_SIGNATURE)))
    rest = await _exactly(connection, length)
    if command >> 4 != _VERSION or command & 15 not in (_LOCAL, _PROXY):
        raise BadProxyHeader(f"its version and command are {command:#04x}")
    if command & 15 == _LOCAL or family not in _ADDRESSES:
        return None
    kind, size = _ADDRESSES[family]
    # Both addresses, and both ports.
    if length < 2 * size + 4:
        raise BadProxyHeader(f"its addresses take {length} bytes")
    return str(plain(kind(rest[:size])))


async def _text(connection: socket.socket, line: bytes) -> str | None:
    while not line.endswith(_LINE):
        if len(line) >= _LONGEST_LINE:
            raise BadProxyHeader("its line has no end")
        # Nothing behind the line may be taken: of its end, as much may be there already as can be.
        line += await _exactly(connection, 1 if line.endswith(_LINE[:1]) else 2)
    words = line[: -len(_LINE)].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return None
    try:
        _, family, source, _, _, _ = words
        address = _FAMILIES[family](source)
    except (KeyError, ValueError):
        raise BadProxyHeader(f"its line is {line!r}") from None
    return str(plain(address))


async def _exactly(connection: socket.socket, count: int) -> bytes:
    """Read so many bytes, none where there are to be none."""
    loop = asyncio.get_running_loop()
    received = b""
    while len(received) < count:
        piece = await loop.sock_recv(connection, count - len(received))
        if not piece:
            raise EOFError(f"a connection has ended after {len(received)} of {count} bytes")
        received += piece
    return received
