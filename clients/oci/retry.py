"""When to ask again, and after how long."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# Answers that another attempt may better (RFC 9110, section 15.6).
RETRIED_STATUSES = frozenset({500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Retry:
    """How often an idempotent request is asked again: exponential back-off with full jitter.

    `first` and `longest` bound the pause before the second attempt and before any, in seconds; `draw` gives
    random numbers from 0 to 1.
    """

    attempts: int = 3
    first: float = 0.25
    longest: float = 5.0
    draw: Callable[[], float] = random.random

    def pauses(self) -> Iterator[float]:
        """Yields the pause in seconds before each attempt but the first."""
        for attempt in range(self.attempts - 1):
            yield self.draw() * min(self.first * 2**attempt, self.longest)
