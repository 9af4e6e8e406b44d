"""Says in time, again and again, that what is under a lease goes on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from clients.process.cancellation import heed_cancellation

_LOG = logging.getLogger(__name__)

# How often in the time of a lease.
_BEATS: Final = 4


async def beating(lasting: timedelta, beat: Callable[[], Awaitable[None]]) -> None:
    """Call `beat` four times in the time that a lease lasts, until cancelled, whatever it raises."""
    while True:
        heed_cancellation()
        await asyncio.sleep(lasting.total_seconds() / _BEATS)
        try:
            await beat()
        except Exception:  # noqa: BLE001 - all that is under the lease would be lost
            _LOG.exception("Renewing a lease failed; it is tried again.")
