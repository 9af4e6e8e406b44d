"""Taking connections off a listening socket, and waiting where there is no descriptor for one."""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any, Final

from clients.process.descriptors import Shortage, is_shortage

# Connections that are taken before others get their turn.
_TURN: Final = 128
# Seconds after which to try again what there was no descriptor or memory for; clients wait in the queue.
_PAUSE: Final = 0.2
_NO_MEMORY: Final = frozenset({errno.ENOBUFS, errno.ENOMEM})


class Listener:
    """Gives each connection to `accept`, with the client's address, until it is stopped; owns the socket."""

    def __init__(
        self, listening: socket.socket, accept: Callable[[socket.socket, Any], None], shortage: Shortage
    ) -> None:
        self._socket = listening
        self._accept = accept
        self._shortage = shortage
        self._loop = asyncio.get_running_loop()
        self._paused: asyncio.TimerHandle | None = None
        self._loop.add_reader(listening.fileno(), self._take)

    def stop(self) -> None:
        """Take no more, and close the socket."""
        if self._paused is None:
            self._loop.remove_reader(self._socket.fileno())
        else:
            self._paused.cancel()
        self._socket.close()

    def _take(self) -> None:
        for _ in range(_TURN):
            try:
                connection, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if is_shortage(error):
                    self._shortage.note()
                elif error.errno not in _NO_MEMORY:
                    # What was wrong with this connection before it could be taken (accept(2)).
                    continue
                # The kernel would go on to say that a connection waits.
                self._loop.remove_reader(self._socket.fileno())
                self._paused = self._loop.call_later(_PAUSE, self._go_on)
                return
            self._accept(connection, address)

    def _go_on(self) -> None:
        self._paused = None
        self._loop.add_reader(self._socket.fileno(), self._take)
