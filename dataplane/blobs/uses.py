"""When blobs were used last: the order in which they go when room is short."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from clients.oci.digest import Digest
from dataplane.blobs.store import Entry

# The store notes uses to the hour; in between, each process remembers its own.
_REMEMBERED: Final = 10_000
# Seconds that a file's time may be ahead of the clock that it is from.
_ROUNDING: Final = 1.0


class Uses:
    """What one process has used, beside what the store knows; clock gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._uses: OrderedDict[Digest, float] = OrderedDict()

    def note(self, digest: Digest) -> None:
        """Note that a blob is used."""
        self._uses[digest] = self._clock()
        self._uses.move_to_end(digest)
        if len(self._uses) > _REMEMBERED:
            self._uses.popitem(last=False)

    def forget(self, digest: Digest) -> None:
        """Forget a blob that is gone."""
        self._uses.pop(digest, None)

    def order(self, entries: Iterable[Entry]) -> list[Entry]:
        """Give what is stored, the least recently used first."""
        # Since a clock that was set back, uses before it are to come: when they were, nobody knows.
        latest = self._clock() + _ROUNDING

        def used(entry: Entry) -> tuple[float, float]:
            moments = (0.0, entry.used, self._uses.get(entry.digest, 0.0))
            return max(moment for moment in moments if moment <= latest), max(moments)

        return sorted(entries, key=used)
