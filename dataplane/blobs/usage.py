"""How much a node's store holds, known to all its processes without counting."""

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_FIELDS: Final = struct.Struct("<qq")


@dataclass(frozen=True, slots=True)
class Used:
    """Sums over all blobs of the store."""

    size: int = 0
    """Bytes."""
    blobs: int = 0

    def __add__(self, other: Self) -> "Used":
        return Used(self.size + other.size, self.blobs + other.blobs)

    def __neg__(self) -> "Used":
        return Used(-self.size, -self.blobs)


class Usage:
    """A file with the sums, changed under a lock. For threads: it waits for the disk. Raises OSError.

    They are a running account, which every sweep of the store puts right.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def set(self, used: Used) -> None:
        """Put counted sums in their place."""
        with _Locked(self._path) as descriptor:
            os.pwrite(descriptor, _FIELDS.pack(used.size, used.blobs), 0)

    def change(self, by: Used) -> Used:
        """Add to the sums; returns them as they are then."""
        with _Locked(self._path) as descriptor:
            content = os.pread(descriptor, _FIELDS.size, 0)
            used = Used(*_FIELDS.unpack(content)) if len(content) == _FIELDS.size else Used()
            if by != Used():
                used += by
                used = Used(max(0, used.size), max(0, used.blobs))
                os.pwrite(descriptor, _FIELDS.pack(used.size, used.blobs), 0)
            return used


class _Locked:
    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)

    def __enter__(self) -> int:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except BaseException:
            os.close(self._descriptor)
            raise
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
