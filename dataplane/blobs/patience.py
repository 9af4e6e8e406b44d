"""How long an upstream that fails is asked again."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from clients.oci.errors import UpstreamError


@dataclass(frozen=True, slots=True)
class Patience:
    """Bounds of one transfer; the number of requests without progress grows back-off from one to the next.

    `sleep` takes seconds, and `chance` gives a number from 0 to 1, to spread requests.
    """

    first_attempts: int = 3
    """Requests before the first byte: clients still wait for a status, which must not take long."""
    attempts: int = 7
    """Requests in a row without progress after it: clients can only wait, or be cut off."""
    progress: int = 64 * 1024
    """Bytes that count as progress, so that an upstream cannot be asked for ever, byte by byte."""
    delay: float = 0.2
    """Seconds before the second request; doubled from then on."""
    longest: float = 10.0
    """Seconds that the delay grows to."""
    longest_asked: float = 60.0
    """Seconds that an upstream may ask for with Retry-After in the middle of a blob."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random

    def pause(self, failure: Exception, failures: int, *, started: bool) -> float | None:
        """Seconds to wait after so many failures in a row; None to give up.

        `started` says whether a byte has arrived.
        """
        if failures >= (self.attempts if started else self.first_attempts):
            return None
        delay = min(self.longest, self.delay * 2.0 ** (failures - 1)) * (0.5 + self.chance() / 2)
        asked = failure.retry_after if isinstance(failure, UpstreamError) else None
        if asked is None:
            return delay
        # Whoever still waits for a status is told when to come back instead.
        if not started or asked > self.longest_asked:
            return None
        return max(delay, asked)
