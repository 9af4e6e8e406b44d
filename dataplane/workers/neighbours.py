"""Evens out the connections of a node's workers: one that has more than another gives it what comes next.

The kernel spreads connections over workers by chance: of eight, one of two workers has six or more in three
of ten cases, and clients of large blobs wait for that one while the other has time.
"""

import array
import asyncio
import os
import random
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

from dataplane.workers.loads import Loads
from dataplane.workers.share import Share

# Connections that are taken before others get their turn.
_TURN: Final = 128
_LOOKS: Final = 4
# Seconds after which to try again what there was no descriptor for.
_PAUSE: Final = 0.2
# For one descriptor.
_ROOM: Final = socket.CMSG_SPACE(array.array("i").itemsize)


class Doors:
    """A socket for each worker, through which the others give it connections.

    The supervisor keeps both ends: what is on its way to a worker that dies is taken by its successor.
    """

    def __init__(self, count: int) -> None:
        self._pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(count)]
        for end in chain(*self._pairs):
            end.settimeout(0)

    def of(self, index: int) -> tuple[socket.socket, list[socket.socket]]:
        """Give what a worker inherits: the inner end of its own door, and the outer ends of all."""
        return self._pairs[index][0], [outer for _, outer in self._pairs]

    def close(self) -> None:
        """Let go of all."""
        for end in chain(*self._pairs):
            end.close()


def has_descriptors(door: socket.socket) -> bool:
    """Tell whether there is one for a connection: received without, it would be lost."""
    try:
        os.close(os.dup(door.fileno()))
    except OSError:
        return False
    return True


def received(door: socket.socket) -> list[socket.socket]:
    """Take what is next behind a door's inner end, a connection; raises BlockingIOError where nothing is."""
    _, ancillary, _, _ = door.recvmsg(1, _ROOM, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for _, _, content in ancillary:
        descriptors.frombytes(content)
    return [socket.socket(fileno=descriptor) for descriptor in descriptors]


class Neighbours:
    """The other workers, as one sees them; `loads` says what each of them has."""

    def __init__(
        self, share: Share, loads: Loads, inner: socket.socket, outer: Sequence[socket.socket]
    ) -> None:
        """Take over the inner end of this worker's door, and the outer ends of all."""
        self._index = share.index
        self._others = [index for index in range(share.count) if index != share.index]
        self._loads = loads
        self._inner = inner
        self._outer = outer
        self._take: Callable[[socket.socket, Any], None] | None = None
        self._connections = 0
        # Whether others are to give it some.
        self._open = False
        self._paused: asyncio.TimerHandle | None = None
        for end in (inner, *outer):
            end.settimeout(0)

    def start(self, take: Callable[[socket.socket, Any], None]) -> None:
        """Have `take` called with each connection that another gives this one, and its client's address."""
        self._take = take
        # Nobody gives anything yet: what waits was given to the worker before this one.
        waiting = list(self._arrived())
        self._loads.settle(self._index)
        self._go_on()
        self._serve(waiting)

    def stop(self) -> None:
        """Take none any more."""
        if self._take is not None:
            self._shut()
            self._receive()
            self._take = None

    def has(self, connections: int) -> None:
        """Note how many connections this worker has."""
        self._connections = connections
        if self._open:
            self._loads.has(self._index, connections)

    def give(self, connection: socket.socket) -> bool:
        """Give a connection to the worker that has the fewest, if that is fewer than this one has.

        Of many workers, a few are looked at: that evens them out nearly as well as to look at all.
        """
        loads = self._loads
        looked_at = random.sample(self._others, min(len(self._others), _LOOKS))
        least, other = min((loads.of(index), index) for index in looked_at)
        if least >= loads.of(self._index):
            return False
        loads.gives(self._index, other)
        try:
            socket.send_fds(self._outer[other], [b"c"], [connection.fileno()])
        except OSError:
            # It has not taken what it was given before.
            loads.keeps(self._index, other)
            return False
        connection.close()
        return True

    def _go_on(self) -> None:
        self._paused = None
        self._open = True
        self._loads.has(self._index, self._connections)
        asyncio.get_running_loop().add_reader(self._inner.fileno(), self._receive)

    def _shut(self) -> None:
        self._open = False
        self._loads.shut(self._index)
        asyncio.get_running_loop().remove_reader(self._inner.fileno())
        if self._paused is not None:
            self._paused.cancel()
            self._paused = None

    def _receive(self) -> None:
        self._serve(islice(self._arrived(), _TURN))

    def _arrived(self) -> Iterator[socket.socket]:
        """Give each connection that waits behind the door."""
        while True:
            if not has_descriptors(self._inner):
                # What waits goes on to wait, as in the kernel's queue.
                if self._open:
                    self._shut()
                    self._paused = asyncio.get_running_loop().call_later(_PAUSE, self._go_on)
                return
            try:
                arrived = received(self._inner)
            except BlockingIOError:
                return
            self._loads.took(self._index)
            yield from arrived

    def _serve(self, connections: Iterable[socket.socket]) -> None:
        assert self._take is not None  # noqa: S101 - between start and stop
        for connection in connections:
            try:
                address = connection.getpeername()
            except OSError:
                # The client has left.
                connection.close()
            else:
                self._take(connection, address)
