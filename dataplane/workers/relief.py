"""Serves who waits for a worker that takes no connections: it hangs, has died, or is still starting.

The kernel gives each worker a queue of its own (SO_REUSEPORT), and takes back nothing that waits in one. The
supervisor holds all queues, so that they outlive their workers, and the doors through which other workers
gave them some. What waits in them where nobody comes, it passes on.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from dataplane.workers.loads import Loads
from dataplane.workers.neighbours import Doors, has_descriptors, received

# Seconds between two looks at who takes connections.
_LOOKS: Final = 0.5
# Connections that are passed on before others get their turn.
_TURN: Final = 128


class Relief:
    """Passes on to other workers what waits in `queues`, the listening sockets of each, and behind doors."""

    def __init__(self, loads: Loads, doors: Doors, queues: Sequence[Sequence[socket.socket]]) -> None:
        self._loads = loads
        self._outer = doors.of(0)[1]
        self._indices = range(len(queues))
        # For each worker, where its connections wait, and how one is taken from there.
        self._waiting: list[dict[socket.socket, Callable[[], list[socket.socket]]]] = []
        for index in self._indices:
            inner, _ = doors.of(index)
            self._waiting.append({queue: partial(_accepted, queue) for queue in queues[index]})
            self._waiting[index][inner] = partial(self._taken_back, index, inner)
        # Workers that are looked after.
        self._relieved: set[int] = set()
        # What was taken and the next worker's door had no room for.
        self._held: list[socket.socket] = []

    async def run(self) -> None:
        """Look after all until cancelled."""
        try:
            while True:
                self.look()
                await asyncio.sleep(_LOOKS)
        finally:
            for index in self._indices:
                self._leave(index)
            for connection in self._held:
                connection.close()

    def look(self) -> None:
        """Begin with the workers that take none, if others do, and end with those that take some again."""
        self._gives()
        takes = [self._loads.takes(index) for index in self._indices]
        for index in self._indices:
            if takes[index] or not any(takes):
                self._leave(index)
            else:
                self._relieve(index)

    def _relieve(self, index: int) -> None:
        if index not in self._relieved:
            self._relieved.add(index)
            for place, take in self._waiting[index].items():
                asyncio.get_running_loop().add_reader(place, self._pass_on, index, take)

    def _leave(self, index: int) -> None:
        if index in self._relieved:
            self._relieved.remove(index)
            for place in self._waiting[index]:
                asyncio.get_running_loop().remove_reader(place)

    def _pass_on(self, index: int, take: Callable[[], list[socket.socket]]) -> None:
        for _ in range(_TURN):
            if not self._gives() or not self._loads.takes(self._least()):
                # What waits goes on to wait, until somebody takes some again.
                self._leave(index)
                return
            try:
                self._held += take()
            except BlockingIOError:
                return
            except OSError:
                # There is no descriptor for it, or the client has left; the next look goes on.
                self._leave(index)
                return
        self._gives()

    def _gives(self) -> bool:
        """Give what was taken to whoever has the fewest; False where nobody takes it, or a door is full."""
        while self._held:
            other = self._least()
            if not self._loads.takes(other):
                return False
            self._loads.gives_from_outside(other)
            try:
                socket.send_fds(self._outer[other], [b"c"], [self._held[-1].fileno()])
            except OSError:
                self._loads.took_back(other)
                return False
            self._held.pop().close()
        return True

    def _least(self) -> int:
        return min(self._indices, key=self._loads.of)

    def _taken_back(self, index: int, inner: socket.socket) -> list[socket.socket]:
        if not has_descriptors(inner):
            raise OSError
        connections = received(inner)
        self._loads.took_back(index)
        return connections


def _accepted(queue: socket.socket) -> list[socket.socket]:
    connection, _ = queue.accept()
    return [connection]
