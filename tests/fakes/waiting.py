"""Waiting in tests for what happens elsewhere."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(happened: Callable[[], Awaitable[bool]], patience: float = 30.0) -> None:
    """Returns when something has happened; raises TimeoutError after `patience` seconds.

    For what tells nobody, such as a row in a database or a request that a server got.
    """
    async with asyncio.timeout(patience):
        while not await happened():  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(0.02)
