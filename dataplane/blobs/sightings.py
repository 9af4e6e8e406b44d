"""What was seen in a bucket a moment ago, so that it need not be asked for every request."""

import time
from collections.abc import Callable
from typing import Final

from clients.oci.digest import Digest
from dataplane.resolve.memory import Memory

# Seconds. Another node may have put a blob there meanwhile, or have dropped one that was wrong: whoever is
# then sent there gets an error, and more than a request in a few seconds is nothing to the bucket.
_LASTS: Final = 5.0
_MAX_BYTES: Final = 4 << 20
_ENTRY_BYTES: Final = 300


class Sightings:
    """Sizes of blobs by digest; `clock` gives seconds that never jump."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: Memory[Digest, tuple[int | None, float]] = Memory(_MAX_BYTES)

    def note(self, digest: Digest, size: int | None) -> None:
        """Note how many bytes a blob has there; None that it is absent."""
        self._seen.put(digest, (size, self._clock() + _LASTS), _ENTRY_BYTES)

    def has(self, digest: Digest, size: int) -> bool | None:
        """Tell whether a blob of so many bytes was there; None where it was not looked at of late."""
        seen = self._seen.get(digest)
        if seen is None or seen[1] < self._clock():
            return None
        return seen[0] == size
