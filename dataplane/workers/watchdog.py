"""Finds the workers of a node that hang: their processes are there, and do nothing any more.

A worker stirs four times a second, from its event loop. Whoever is stopped by a signal, waits for a disk that
does not answer, or goes round in a circle does not, and its clients would wait for as long.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from dataplane.workers.loads import Loads

_STIRS: Final = 0.25
# Seconds between two looks at all workers, at most.
_LOOKS: Final = 1.0
# A look that comes so many times as late as it should says that this process was held up itself.
_HELD_UP: Final = 2.0


async def stir(loads: Loads, index: int) -> None:
    """Show that this worker does something, for as long as it does."""
    while True:
        loads.stir(index)
        await asyncio.sleep(_STIRS)


class Watchdog:
    """Tells which workers hang: those that have not stirred for `patience` seconds; 0 for none.

    Looks are counted by no clock that is set or goes on while the machine sleeps. Where a look comes late,
    all may have been stopped together, with their machine or container: each has the whole time once more.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self.pause = min(_LOOKS, patience / 4)
        """Seconds from one look to the next."""
        self._looked = math.inf
        # When each worker last stirred by its own word, and since when that is known.
        self._seen: dict[int, tuple[int, float]] = {}

    async def run(
        self, loads: Loads, workers: Callable[[], Iterable[int]], hangs: Callable[[int], Awaitable[None]]
    ) -> None:
        """Look now and then at those that are `workers` by then; awaits `hangs` of each that does, once."""
        clock = asyncio.get_running_loop().time
        while self._patience:
            hang = self.look({index: loads.stirred(index) for index in workers()}, clock())
            await asyncio.gather(*(hangs(index) for index in hang))
            await asyncio.sleep(self.pause)

    def look(self, stirred: Mapping[int, int], now: float) -> list[int]:
        """Take when each worker last stirred, at a moment in seconds; gives those that hang, each once.

        One that has not stirred yet is still starting, and is left alone.
        """
        if now - self._looked > _HELD_UP * self.pause:
            self._seen.clear()
        self._looked = now
        hang = []
        for index, moment in stirred.items():
            before, since = self._seen.get(index, (0, now))
            if moment != before or not moment:
                since = now
            elif now - since >= self._patience:
                hang.append(index)
                since = math.inf
            self._seen[index] = moment, since
        return hang
