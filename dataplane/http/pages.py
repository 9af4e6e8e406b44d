"""Pages of a file that are not in memory: noticed without waiting, and fetched in a thread."""

import os
from typing import Final

from clients.process.buffer import buffer

_STEP: Final = 256 << 10
_probe: Final = bytearray(1)


def are_near(descriptor: int, start: int, stop: int) -> bool:
    """Whether sending these bytes will hardly wait for the disk: the first and the last are in memory."""
    try:
        return bool(
            os.preadv(descriptor, [_probe], stop - 1, os.RWF_NOWAIT)
            and os.preadv(descriptor, [_probe], start, os.RWF_NOWAIT)
        )
    except BlockingIOError:
        return False
    except OSError:
        # A file system that cannot tell; or one that fails, which sending finds out.
        return True


def fetch(descriptor: int, start: int, stop: int) -> None:
    """Bring these bytes into memory; blocks. What goes wrong shows when they are sent."""
    try:
        os.posix_fadvise(descriptor, start, stop - start, os.POSIX_FADV_WILLNEED)
        unused = buffer(min(_STEP, stop - start))
        while start < stop and (count := os.preadv(descriptor, [unused], start)):
            start += count
    except OSError:
        return
