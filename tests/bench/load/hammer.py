"""Sends small requests as fast as a server answers them: keep-alive, no pipelining, one epoll loop."""

import gc
import select
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.load.address import Address
from tests.bench.load.message import LoadFailed, parse_head

# Seconds without any answer after which a run has failed.
STALL_LIMIT = 30.0
_OK = b"HTTP/1.1 200"


@dataclass(frozen=True, slots=True)
class Hammered:
    """What a run saw: seconds, and how long each request took (s, ascending)."""

    seconds: float
    latencies: list[float]


def hammer(address: Address, request: bytes, connections: int, seconds: float) -> Hammered:
    """Keeps one request under way on each connection for so long.

    Raises LoadFailed when an answer is not 200 or the server closes.
    """
    sockets = {}
    poll = select.epoll()
    collecting = gc.isenabled()
    try:
        for _ in range(connections):
            connection = address.connect()
            sockets[connection.fileno()] = connection
            connection.setblocking(False)
            poll.register(connection, select.EPOLLIN)
        gc.disable()
        return _run(
            poll,
            {fd: connection.recv_into for fd, connection in sockets.items()},
            {fd: connection.send for fd, connection in sockets.items()},
            request,
            seconds,
        )
    finally:
        if collecting:
            gc.enable()
        poll.close()
        for connection in sockets.values():
            connection.close()


def _run(
    poll: select.epoll,
    receive: dict[int, Callable[[bytearray], int]],
    send: dict[int, Callable[[bytes], int]],
    request: bytes,
    seconds: float,
) -> Hammered:
    # One answer costs two system calls and a share of a third; everything else here is kept to a few lookups.
    clock, buffer = time.perf_counter, bytearray(64 << 10)
    body_expected = not request.startswith(b"HEAD ")
    latencies: list[float] = []
    partial: dict[int, bytes] = {}
    usual = 0
    started = clock()
    deadline = started + seconds
    sent = dict.fromkeys(send, started)
    for first in send.values():
        first(request)
    now = started
    while now < deadline:
        events = poll.poll(STALL_LIMIT)
        if not events:
            raise LoadFailed(f"no answer for {STALL_LIMIT:g} s")
        for fd, _ in events:
            count = receive[fd](buffer)
            # Nearly every answer has the size of the one before, and arrives whole.
            if count != usual or partial or not buffer.startswith(_OK):
                whole = partial.pop(fd, b"") + buffer[:count]
                if not count or not _complete(whole, body_expected):
                    if not count:
                        raise LoadFailed("the server closed a connection")
                    partial[fd] = whole
                    continue
                usual = len(whole)
            now = clock()
            latencies.append(now - sent[fd])
            sent[fd] = now
            send[fd](request)
    latencies.sort()
    return Hammered(now - started, latencies)


def _complete(received: bytes, body_expected: bool) -> bool:
    head = parse_head(received)
    if head is None:
        return False
    if head.status != 200:
        raise LoadFailed(f"the server answered {head.status}: {received[head.size : head.size + 200]!r}")
    return len(received) >= head.size + (head.length if body_expected else 0)
