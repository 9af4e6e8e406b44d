"""Threads for what may block for long: no process waits for them at its end, as it does for a pool's."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")


async def aside(name: str, function: Callable[[], Result]) -> Result:
    """Run it in a thread of its own, and give what it gives, or raise what it raises.

    Whoever is cancelled meanwhile leaves at once; the thread goes on. Raises OSError where there is none.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Result] = loop.create_future()

    def settle(error: Exception | None, *result: Result) -> None:
        if found.done():
            return
        if error is None:
            found.set_result(*result)
        else:
            found.set_exception(error)

    def run() -> None:
        # The loop may have ended meanwhile.
        with suppress(RuntimeError):
            try:
                result = function()
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                loop.call_soon_threadsafe(settle, error)
            else:
                loop.call_soon_threadsafe(settle, None, result)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError as error:
        raise OSError(None, f"there is no thread for {name}") from error
    return await found
