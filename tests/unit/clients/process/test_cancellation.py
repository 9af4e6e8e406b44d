"""A task that was cancelled ends, though what it waited for came in that moment."""

import asyncio

from clients.process.cancellation import heed_cancellation


async def test_a_cancellation_that_gets_lost() -> None:
    """It is found in the next round of a loop at the latest."""
    come: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    begun = asyncio.Event()
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        while rounds < 3:
            rounds += 1
            heed_cancellation()
            begun.set()
            await asyncio.wait_for(come, 60)

    task = asyncio.create_task(work())
    await begun.wait()
    await asyncio.sleep(0)
    come.set_result(None)
    task.cancel()
    (ended,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)
    assert rounds <= 2
