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
        thrown: BaseException | None = None
        while True:
            try:
                future: Any = running.send(None) if thrown is None else running.throw(thrown)
            except StopIteration:
                return
            thrown = None
            self.waited += 1
            if self.waited == self._moment + 1:
                # As Task.cancel does, but at this very moment.
                future._asyncio_future_blocking = False
                future.cancel()
                thrown = asyncio.CancelledError()
                continue
            try:
                yield future
            except BaseException as error:  # noqa: BLE001 - it is for the coroutine, whatever it is
                thrown = error
