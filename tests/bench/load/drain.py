"""Reads blobs as fast as a server can send them, over many connections, with one epoll loop.

What arrives is thrown away in the kernel (MSG_TRUNC), so that the generator costs a system call for each
piece and no copy. Under TLS it has to be decrypted: see sealed.py for when that is too slow.
"""

import select
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.bench.load.address import Address
from tests.bench.load.message import HEAD_LIMIT, LoadFailed, parse_head

# Seconds without a byte on any connection after which a run has failed.
STALL_LIMIT = 60.0
_BUFFER = bytearray(4 << 20)


@dataclass(slots=True)
class Transfer:
    """One response: when it was asked for, its body began and ended (s, monotonic), and its bytes."""

    started: float
    first_byte: float = 0.0
    finished: float = 0.0
    size: int = 0


@dataclass(slots=True)
class Drained:
    """What a run received: bytes of body on all connections, seconds, and the finished responses."""

    seconds: float = 0.0
    size: int = 0
    transfers: list[Transfer] = field(default_factory=list)


class _Connection:
    # One connection and the response that it waits for.
    def __init__(self, address: Address, requests: Iterator[bytes]) -> None:
        self.socket = address.connect()
        self._requests = requests
        self._head: bytes | None = None
        self._left = 0
        self._transfer = Transfer(0.0)

    def ask(self) -> bool:
        # Sends the next request; False when there is none.
        request = next(self._requests, None)
        if request is None:
            return False
        self._head, self._transfer = b"", Transfer(time.monotonic())
        self.socket.sendall(request)
        return True

    def receive(self, drained: Drained) -> bool:
        # Takes what has arrived once; False when there is nothing more to wait for on this connection.
        if self._head is not None:
            return self._receive_head(drained)
        view = memoryview(_BUFFER)[: min(self._left, len(_BUFFER))]
        # An SSLSocket refuses flags.
        flags = 0 if isinstance(self.socket, ssl.SSLSocket) else socket.MSG_TRUNC
        count = self.socket.recv_into(view, 0, flags)
        if count == 0:
            raise LoadFailed(f"the server closed a connection with {self._left} bytes to go")
        return self._took(count, drained)

    def _receive_head(self, drained: Drained) -> bool:
        assert self._head is not None
        piece = self.socket.recv(HEAD_LIMIT)
        if not piece:
            raise LoadFailed("the server closed a connection instead of answering")
        self._head += piece
        if (head := parse_head(self._head)) is None:
            return True
        if head.status != 200:
            raise LoadFailed(
                f"the server answered {head.status}: {self._head[head.size : head.size + 200]!r}"
            )
        body = len(self._head) - head.size
        self._head, self._left, self._transfer.size = None, head.length, head.length
        return self._took(body, drained) if body or not head.length else True

    def _took(self, count: int, drained: Drained) -> bool:
        now = time.monotonic()
        self._transfer.first_byte = self._transfer.first_byte or now
        self._left -= count
        drained.size += count
        if self._left > 0:
            return True
        self._transfer.finished = now
        drained.transfers.append(self._transfer)
        return self.ask()


def drain(address: Address, queues: Sequence[Iterator[bytes]], *, seconds: float | None = None) -> Drained:
    """Opens a connection for each of `queues`, sends its requests one by one, and drains the responses.

    Connections may share a queue, as a client's parallel downloads do. Ends when all queues are empty, or
    `seconds` after the first request, with transfers under way dropped. Raises LoadFailed.
    """
    drained = Drained()
    poll = select.epoll()
    connections: dict[int, _Connection] = {}
    try:
        for queue in queues:
            connection = _Connection(address, queue)
            connections[connection.socket.fileno()] = connection
        started = time.monotonic()
        asking = {fd: connection for fd, connection in connections.items() if connection.ask()}
        for fd, connection in asking.items():
            connection.socket.setblocking(False)
            poll.register(fd, select.EPOLLIN)
        _until_done(poll, asking, drained, started + seconds if seconds is not None else None)
        drained.seconds = time.monotonic() - started
    finally:
        poll.close()
        for connection in connections.values():
            connection.socket.close()
    return drained


def _until_done(
    poll: select.epoll, waiting: dict[int, _Connection], drained: Drained, deadline: float | None
) -> None:
    while waiting:
        left = STALL_LIMIT if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return
        events = poll.poll(left)
        if not events and deadline is None:
            raise LoadFailed(f"no byte for {STALL_LIMIT:g} s")
        for fd, _ in events:
            if not _receive(waiting[fd], drained):
                poll.unregister(fd)
                del waiting[fd]


def _receive(connection: _Connection, drained: Drained) -> bool:
    if not isinstance(connection.socket, ssl.SSLSocket):
        return connection.receive(drained)
    try:
        # What OpenSSL has read from the socket already, epoll does not tell.
        while connection.receive(drained):
            pass
    except ssl.SSLWantReadError:
        return True
    return False
