"""Finds the connections whose time is up, all of them with one timer."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from dataplane.http.limits import Hits, Limits

_LOG = logging.getLogger(__name__)

# Seconds between two looks: as precise as a time-out need be, within these.
_SHORTEST: Final = 0.01
_LONGEST: Final = 5.0
_LOOKS: Final = 5


class Watched(Protocol):
    """A connection, as far as its time goes."""

    stirred: bool
    """Set when a request came; the sweep resets it."""

    @property
    def resting(self) -> bool:
        """Whether it waits for a request."""
        ...

    @property
    def sending(self) -> bool:
        """Whether there is something that the client has not taken."""
        ...

    @property
    def taken(self) -> int:
        """Grows when the client takes something."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Sweep:
    """Closes connections that rest for `limits.idle`, and those whose client takes nothing for `stall`.

    Either happens up to a fifth later.
    """

    def __init__(self, connections: Callable[[], Iterable[Watched]], limits: Limits, hits: Hits) -> None:
        self._connections = connections
        self._limits = limits
        self._hits = hits
        self._pause = min(_LONGEST, max(_SHORTEST, min(limits.idle, limits.stall) / _LOOKS))
        # When each was first found in this state, and for those that send how much was taken then.
        self._since: dict[Watched, tuple[float, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look."""
        self._timer = asyncio.get_running_loop().call_later(self._pause, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self.start()
        now = asyncio.get_running_loop().time()
        since: dict[Watched, tuple[float, int]] = {}
        for connection in list(self._connections()):
            if connection.sending:
                self._check_stall(connection, now, since)
            elif connection.resting:
                self._check_idle(connection, now, since)
        self._since = since

    def _check_stall(self, connection: Watched, now: float, since: dict[Watched, tuple[float, int]]) -> None:
        taken = connection.taken
        begun, before = self._since.get(connection, (now, taken))
        if taken != before:
            begun = now
        elif now - begun >= self._limits.stall:
            self._hits.stall += 1
            _LOG.info("A client took nothing for %g s: its connection is cut.", self._limits.stall)
            connection.close()
            return
        since[connection] = (begun, taken)

    def _check_idle(self, connection: Watched, now: float, since: dict[Watched, tuple[float, int]]) -> None:
        begun, before = self._since.get(connection, (now, -1))
        if connection.stirred or before != -1:
            connection.stirred, begun = False, now
        elif now - begun >= self._limits.idle:
            self._hits.idle += 1
            connection.close()
            return
        since[connection] = (begun, -1)
