"""A wake-up call for everybody who waits right now."""

import asyncio


class Pulse:
    """Lets coroutines wait for 'something changed'; each then looks for itself whether it is enough.

    Nothing is lost as long as there is no other `await` between looking and waiting.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Wait for the next beat."""
        await self._event.wait()

    def beat(self) -> None:
        """Wake everybody who waits."""
        self._event.set()
        self._event.clear()
