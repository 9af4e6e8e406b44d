"""Work of the cache that nobody waits for."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Background:
    """Tasks that run until they end, or until `stop`."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        """Those that have not ended."""
        self._stopping = False

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Have work done, under a name; nothing once it was stopped."""
        if self._stopping:
            return
        task = asyncio.create_task(work(), name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def stop(self) -> None:
        """Break all off."""
        self._stopping = True
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
