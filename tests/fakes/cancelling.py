"""Cancels what is awaited at a chosen moment."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any


class CancelledAt:
    """Awaits a coroutine, and cancels it when it waits for the `moment`-th time, counted from 0."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], moment: int) -> None:
        self.waited = 0
        self._coroutine = coroutine
        self._moment = moment

    def __await__(self) -> Generator[Any, None, None]:
        running = self._coroutine.__await__()
        cancelled = False
        while True:
            try:
                future: Any = running.throw(asyncio.CancelledError()) if cancelled else running.send(None)
            except StopIteration:
                return
            cancelled = self.waited == self._moment
            self.waited += 1
            if cancelled:
                # As Task.cancel does, but at this very moment.
                future._asyncio_future_blocking = False
                future.cancel()
            else:
                yield future
