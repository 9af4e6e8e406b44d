"""Work on files that would block the event loop, done in threads that never outlive their callers."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Self, TypeVar

Result = TypeVar("Result")

# Each may have to wait for the disk.
_THREADS = 8
# What takes long yields to the event loop: a fill that is late holds up one blob, a loop that is late
# every client.
_NICENESS = 5


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
    """The threads of one blob cache: some for what is soon done, others for writing and hashing."""

    def __init__(self) -> None:
        self._disk = ThreadPoolExecutor(_THREADS, "blob-disk")
        self._bulk = ThreadPoolExecutor(_THREADS, "blob-bulk", initializer=_be_nice)

    async def disk(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Run what reads or changes little on disk; see `in_thread`."""
        return await in_thread(self._disk, function, *arguments)

    async def bulk(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Run what writes or hashes many bytes; see `in_thread`."""
        return await in_thread(self._bulk, function, *arguments)

    def close(self) -> None:
        """End the threads; nothing may be running in them any more."""
        self._disk.shutdown()
        self._bulk.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _be_nice() -> None:
    # Linux schedules threads, not processes: this lowers the calling thread alone.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
