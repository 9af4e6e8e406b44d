"""How slowly a body may come: with a byte a minute, an upstream would otherwise hold a transfer for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from clients.oci.request import Timeouts

Piece = TypeVar("Piece", bytes, memoryview)


class TooSlow(TimeoutError):
    """Bytes come, and so few of them that there is no use in waiting; `str()` completes "it sent ..."."""


class Pace:
    """Looks at whether enough bytes come while they are waited for, and gives a body up where they do not.

    What the reader does between two pieces counts for nothing: it may be as slow as it likes, and so slow
    the upstream down. `give_up` is told once, and then has to end the wait. Close it.
    """

    def __init__(self, timeouts: Timeouts, give_up: Callable[[TooSlow], None]) -> None:
        self._floor = timeouts.floor
        self._window = timeouts.window
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        # Since the last look: seconds of waiting that are over, and what came in them.
        self._waited = 0.0
        self._count = 0
        # When the wait began that is still going on.
        self._since: float | None = None
        self._timer = self._loop.call_later(self._window, self._look)

    async def wait(self, read: Callable[[], Awaitable[Piece]]) -> Piece:
        """Wait for the next piece; raises what `read` raises."""
        self._since = self._loop.time()
        piece = await read()
        self._waited += self._loop.time() - self._since
        self._since = None
        self._count += len(piece)
        return piece

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if self._since is not None:
            self._waited += now - self._since
            self._since = now
        left = self._window - self._waited
        if left <= 0:
            if self._count < self._floor * self._waited:
                self._give_up(TooSlow(f"fewer than {self._floor} bytes a second for {self._window:g} s"))
                return
            self._waited, self._count, left = 0.0, 0, self._window
        self._timer = self._loop.call_later(left, self._look)
