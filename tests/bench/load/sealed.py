"""Reads blobs over TLS without decrypting them, so that a server can be busier than the load generator.

Decrypting costs a client what encrypting costs a server, and a generator that does both on one core is the
limit itself. After the handshake, what arrives is thrown away in the kernel as it is; where a response ends
is told by the end of its connection, so each has a connection of its own.
"""

import select
import socket
import time

from tests.bench.load.address import Address
from tests.bench.load.drain import Drained
from tests.bench.load.message import LoadFailed

# Length of a look at all connections without a byte, in s; then time is looked at again.
_LOOK = 1.0
_BUFFER = bytearray(4 << 20)


def drain_sealed(address: Address, request: bytes, size: int, connections: int, seconds: float) -> Drained:
    """Keeps a transfer of a blob of `size` bytes under way on each connection for so long.

    The request must ask to close. What is counted is as sent, with the 0.14 % that TLS adds to it. Raises
    LoadFailed when a response ends early.
    """
    drained = Drained()
    poll = select.epoll()
    under_way: dict[int, tuple[socket.socket, int]] = {}

    def ask(connection: socket.socket) -> None:
        connection.sendall(request)
        connection.setblocking(False)
        under_way[connection.fileno()] = connection, 0
        poll.register(connection, select.EPOLLIN)

    try:
        opened = [address.connect() for _ in range(connections)]
        started = time.monotonic()
        for connection in opened:
            ask(connection)
        while (left := started + seconds - time.monotonic()) > 0:
            for fd, _ in poll.poll(min(left, _LOOK)):
                connection, received = under_way[fd]
                # The plain socket's method, past the SSLSocket's.
                count = socket.socket.recv_into(connection, _BUFFER, 0, socket.MSG_TRUNC)
                drained.size += count
                under_way[fd] = connection, received + count
                if count == 0:
                    if received < size:
                        raise LoadFailed(f"a response ended after {received} of {size} bytes")
                    poll.unregister(fd)
                    del under_way[fd]
                    connection.close()
                    ask(address.connect())
        drained.seconds = time.monotonic() - started
    finally:
        poll.close()
        for connection, _ in under_way.values():
            connection.close()
    return drained
