"""Many who want the same at once: one task makes it for all of them."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class Merge(Generic[KeyT, ValueT]):
    """Runs at most one task for each key; it goes on when those who wait for it leave.

    What the tasks do must be bounded in time.
    """

    def __init__(self) -> None:
        self._tasks: dict[KeyT, asyncio.Task[ValueT]] = {}

    async def get(self, key: KeyT, make: Callable[[], Coroutine[Any, Any, ValueT]]) -> ValueT:
        """Wait for the running task of `key`, or for a new one of `make()`; raises what it raises."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(make())
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    async def stop(self) -> None:
        """Cancel what is running, and wait for its end."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, key: KeyT, task: asyncio.Task[ValueT]) -> None:
        del self._tasks[key]
        # All who waited may be gone; an error nobody looked at would be logged as lost.
        if not task.cancelled():
            task.exception()
