"""Many who want the same at once make one of it."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Merge(Generic[_Key, _Value]):
    """Runs one task for each key at a time, and gives its outcome to all who asked meanwhile.

    The task belongs to none of them: it goes on when they leave. What it makes must be bounded in time.
    """

    def __init__(self) -> None:
        self._running: dict[_Key, asyncio.Task[_Value]] = {}

    async def run(self, key: _Key, make: Callable[[], Coroutine[Any, Any, _Value]]) -> _Value:
        """Join the task that runs for `key`, or start `make()` as one; raises what it raises."""
        return await asyncio.shield(self.begin(key, make))

    def begin(self, key: _Key, make: Callable[[], Coroutine[Any, Any, _Value]]) -> asyncio.Task[_Value]:
        """Start `make()` unless a task runs for `key`, and wait for nothing; gives the task."""
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(make())
            self._running[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return task

    async def stop(self) -> None:
        """Cancel what runs."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, key: _Key, task: asyncio.Task[_Value]) -> None:
        del self._running[key]
        # Looked at here, for nobody else may be left to do so.
        if not task.cancelled():
            task.exception()
