"""Wakes tasks that wait for something to have changed."""

import asyncio
from contextlib import suppress


class ChangeSignal:
    """A counter that tasks can wait on; a change between two waits is not lost.

    Belongs to one event loop and one process: who must also notice the changes of other
    processes gives `wait` a time-out and looks for itself.
    """

    def __init__(self) -> None:
        self._count = 0
        self._event = asyncio.Event()

    @property
    def count(self) -> int:
        """How often `send` was called; take it before reading what may change, give it to `wait`."""
        return self._count

    def send(self) -> None:
        """Wake every task that waits."""
        self._count += 1
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait(self, seen: int, timeout: float) -> int:
        """Return the count, as soon as it is not `seen` or `timeout` seconds have passed."""
        if self._count == seen:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._event.wait()
        return self._count
