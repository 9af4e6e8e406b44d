"""Work on files that would block the event loop, done in threads that never outlive their callers."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Self, TypeVar

Result = TypeVar("Result")

# Writing waits for the disk more than it computes.
_DISK_THREADS = 8


async def in_thread(executor: Executor | None, function: Callable[..., Result], *arguments: object) -> Result:
    """Run function in a thread; a caller that is cancelled meanwhile leaves only when the thread is done.

    Otherwise it would close the descriptor, and the thread go on with a number that means another file.
    """
    future = asyncio.get_running_loop().run_in_executor(executor, function, *arguments)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue
        if not future.cancelled():
            # Looked at, so that asyncio does not report it as lost.
            future.exception()
        raise


class Threads:
    """The threads of one blob cache: some for disk work, one a core for hashing, and as many for detours."""

    def __init__(self) -> None:
        self._disk = ThreadPoolExecutor(_DISK_THREADS, "blob-disk")
        self._hash = ThreadPoolExecutor(os.cpu_count() or 1, "blob-hash")
        self._detour = ThreadPoolExecutor(os.cpu_count() or 1, "blob-detour")

    async def disk(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Run what reads or writes files; see `in_thread`."""
        return await in_thread(self._disk, function, *arguments)

    async def hash(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Run what computes; see `in_thread`."""
        return await in_thread(self._hash, function, *arguments)

    async def hash_aside(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Run what computes for one reader alone, beside what all wait for; see `in_thread`."""
        return await in_thread(self._detour, function, *arguments)

    def close(self) -> None:
        """End the threads; nothing may be running in them any more."""
        self._disk.shutdown()
        self._hash.shutdown()
        self._detour.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
