"""Cancellations that got lost on their way."""

import asyncio


def heed_cancellation() -> None:
    """Raise CancelledError in a task that was cancelled and goes on all the same.

    For every round of a loop, or behind each call of a library that loses cancellations.

    `asyncio.wait_for` of Python 3.11 gives what it waited for where that comes in the moment of the
    cancellation, which nobody hears of then (CPython issue 86296). The client of Redis sends by it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
