"""Many connections at once that do next to nothing: idle ones, and readers that take their time."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.bench.load.address import Address
from tests.bench.load.message import HEAD_LIMIT, LoadFailed, parse_head

# As small as Linux makes it, so that a slow reader is slow for the server as well.
_SMALL_BUFFER = 2048
_SIP = 1024


@contextmanager
def idle(address: Address, request: bytes, count: int) -> Iterator[None]:
    """Holds so many keep-alive connections open, each of which has had one answer. Raises LoadFailed."""
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(address.connect())
            connection.sendall(request)
            left = _body_left(connection)
            while left > 0:
                left -= len(_some(connection, left))
        yield


@contextmanager
def slow(address: Address, request: bytes, count: int, seconds: float) -> Iterator[None]:
    """Holds so many transfers open, after reading 1 KiB a second of each for so long. Raises LoadFailed."""
    with ExitStack() as stack:
        readers = [stack.enter_context(address.connect(receive_buffer=_SMALL_BUFFER)) for _ in range(count)]
        for reader in readers:
            reader.sendall(request)
        for reader in readers:
            _body_left(reader)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            next_sip = time.monotonic() + 1
            for reader in readers:
                _some(reader, _SIP)
            time.sleep(max(next_sip - time.monotonic(), 0))
        yield


def _body_left(connection: socket.socket) -> int:
    # Reads the head of a response, and gives the bytes of body that have not been read with it.
    received = b""
    while (head := parse_head(received)) is None:
        received += _some(connection, HEAD_LIMIT)
    if head.status != 200:
        raise LoadFailed(f"the server answered {head.status}: {received[head.size : head.size + 200]!r}")
    return head.length - (len(received) - head.size)


def _some(connection: socket.socket, limit: int) -> bytes:
    received = connection.recv(limit)
    if not received:
        raise LoadFailed("the server closed a connection")
    return received
