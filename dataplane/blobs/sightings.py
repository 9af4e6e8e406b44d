"""What was seen in a bucket a moment ago, so that it need not be asked for every request."""

import time
from collections.abc import Callable
from typing import Final

from clients.oci.digest import Digest
from dataplane.resolve.memory import Memory

# Seconds. Another node may have put a blob there meanwhile, or have dropped one that was wrong: whoever is
# then sent there gets an error, and more than a request in a few seconds is nothing to the bucket.
_LASTS: Final = 5.0
# Seconds in which it is believed also for those who come back: many may share an address.
_CERTAIN: Final = 0.5
_MAX_BYTES: Final = 4 << 20
_ENTRY_BYTES: Final = 300


class Sightings:
    """Sizes of blobs by digest; `clock` gives seconds that never jump."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # With the time of the look.
        self._seen: Memory[Digest, tuple[int | None, float]] = Memory(_MAX_BYTES)
        self._sent: Memory[tuple[Digest, str], float] = Memory(_MAX_BYTES)

    def note(self, digest: Digest, size: int | None) -> None:
        """Note how many bytes a blob has there; None that it is absent."""
        self._seen.put(digest, (size, self._clock()), _ENTRY_BYTES)

    def sent(self, digest: Digest, client: str) -> None:
        """Note that a client, by its address, was sent there."""
        self._sent.put((digest, client), self._clock(), _ENTRY_BYTES)

    def has(self, digest: Digest, size: int, client: str = "") -> bool | None:
        """Tell whether a blob of so many bytes was there; None where it was not looked at of late.

        Who comes back was sent there in vain, as far as anybody knows: for that client it counts only what
        was seen since.
        """
        seen = self._seen.get(digest)
        if seen is None:
            return None
        there, at = seen
        age = self._clock() - at
        sent = self._sent.get((digest, client))
        if age > _LASTS or (age > _CERTAIN and sent is not None and sent >= at):
            return None
        return there == size
