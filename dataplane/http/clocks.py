"""When each client may take more bytes, in memory that all processes of a node share."""

import fcntl
import mmap
import os
import struct
from hashlib import blake2b
from typing import Final, Self

_SLOT: Final = struct.Struct("<Qd")
# Clients that take bytes at the same time and are told apart, nearly always; 128 KiB of memory.
_SLOTS: Final = 8192
_PROBES: Final = 8


class Clocks:
    """A table with a clock for each client: the moment up to which what it has taken is paid for.

    A client that is not ahead of the present needs no slot, so that nothing has to be cleaned up. Moments
    are seconds of the machine's monotonic clock, which is the same in all processes.
    """

    def __init__(self, descriptor: int) -> None:
        """Take over the descriptor of a table, which the processes of the node have inherited."""
        self._descriptor = descriptor
        self._table = mmap.mmap(descriptor, _SLOTS * _SLOT.size)
        # A lock belongs to an opened file, and the descriptor is one for all processes.
        self._lock = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)

    @classmethod
    def create(cls) -> Self:
        """Make one in which nobody has taken anything."""
        descriptor = os.memfd_create("penstock-clocks", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, _SLOTS * _SLOT.size)
        return cls(descriptor)

    def fileno(self) -> int:
        """The descriptor, to be inherited."""
        return self._descriptor

    def charge(self, key: int, seconds: float, now: float) -> float:
        """Move a client's clock on from where it is, or from now if that is later; gives the new moment.

        Costs some microseconds, and never waits: where another process has been stopped in the middle of
        this, one charge may be lost.
        """
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        except BlockingIOError:
            locked = False
        try:
            at, moment = self._find(key, now)
            moment = max(moment, now) + seconds
            if seconds:
                _SLOT.pack_into(self._table, at, key, moment)
            return moment
        finally:
            if locked:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of it."""
        self._table.close()
        os.close(self._lock)
        os.close(self._descriptor)

    def _find(self, key: int, now: float) -> tuple[int, float]:
        free = -1
        for probe in range(_PROBES):
            at = (key + probe) % _SLOTS * _SLOT.size
            owner, moment = _SLOT.unpack_from(self._table, at)
            if owner == key:
                return at, moment
            if free < 0 and moment <= now:
                free = at
        # All taken: two clients share a clock for a while.
        at = free if free >= 0 else key % _SLOTS * _SLOT.size
        return at, now if free >= 0 else _SLOT.unpack_from(self._table, at)[1]


def key_of(kind: str, name: str = "") -> int:
    """Give the key of a client, the same in every process."""
    return int.from_bytes(blake2b(f"{kind} {name}".encode(), digest_size=8).digest()) or 1
