"""What is written to disk behind the answers that it is learned from."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Behind:
    """Does work that no answer waits for: first in, first out, so that what was written last stays.

    `stop` waits for what is left.
    """

    def __init__(self) -> None:
        self._doing: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Have it done, after all that was given before."""
        task = asyncio.create_task(self._do(work))
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    async def stop(self) -> None:
        """Wait for what was given."""
        await asyncio.gather(*self._doing, return_exceptions=True)

    async def _do(self, work: Coroutine[Any, Any, None]) -> None:
        async with self._turn:
            await work
