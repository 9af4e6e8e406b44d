"""Large buffers that are used again: the pages of a new one cost ten times what is read into it."""

import sys
from typing import Final

from clients.process.buffer import HEADROOM


def _count_unused() -> int:
    """Tell what CPython counts for a buffer that only its list and who asks refer to, in this version."""
    buffers = [bytearray()]
    buffer = buffers[0]
    return sys.getrefcount(buffer)


_UNUSED: Final = _count_unused()


class Buffers:
    """Buffers of `size` bytes, each given again once nobody has a piece of it; see `buffer` for their place.

    There are as many as are needed at once; `trim` gives back what is then more than `spare`.
    """

    def __init__(self, size: int, spare: int) -> None:
        self._size = size
        self._spare = spare
        self._buffers: list[bytearray] = []
        # Where the next look begins: behind the one that was given last.
        self._next = 0

    def take(self) -> memoryview:
        """Give a buffer of which nobody has a piece any more; each piece, however cut, counts as one."""
        count = len(self._buffers)
        for turn in range(count):
            at = (self._next + turn) % count
            buffer = self._buffers[at]
            if sys.getrefcount(buffer) == _UNUSED:
                self._next = at + 1
                return memoryview(buffer)[HEADROOM:]
        self._next = 0
        self._buffers.append(bytearray(HEADROOM + self._size))
        return memoryview(self._buffers[-1])[HEADROOM:]

    def trim(self) -> None:
        """Give memory back that was needed for a while."""
        kept: list[bytearray] = []
        spare = self._spare
        while self._buffers:
            buffer = self._buffers.pop()
            # One reference fewer: the list has let go of it.
            if sys.getrefcount(buffer) < _UNUSED:
                if not spare:
                    continue
                spare -= 1
            kept.append(buffer)
        self._buffers = kept
        self._next = 0

    def __len__(self) -> int:
        return len(self._buffers)
