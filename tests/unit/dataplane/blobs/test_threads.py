"""Threads: a cancelled caller never leaves a thread at work on what it is about to close."""

import asyncio
import threading

import pytest

from dataplane.blobs.threads import Threads, in_thread


async def test_gives_the_result_or_the_error() -> None:
    """As if it was called."""
    with Threads() as threads:
        assert await threads.disk(max, 1, 2) == 2
        with pytest.raises(ZeroDivisionError):
            await threads.hash(divmod, 1, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_caller_waits_for_its_thread(*, fails: bool) -> None:
    """However often it is cancelled; and what the thread then says is of no interest."""
    begun, release = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        release.wait()
        if fails:
            raise OSError

    caller = asyncio.create_task(in_thread(None, work))
    await asyncio.to_thread(begun.wait)
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0.01)
        assert not caller.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
