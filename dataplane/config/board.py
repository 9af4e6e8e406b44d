"""The newest configuration of a node, in memory that all its processes share."""

import os
import struct
import zlib
from typing import Final, Self

# Length and checksum of the content, revision, and when it was confirmed (seconds since the epoch).
_HEADER: Final = struct.Struct("<qqqd")


class Board:
    """A memory file with a whole configuration, or none: one process posts, all may read.

    It outlives the process that posted, and needs no disk. There is no lock that a process which was
    stopped could keep: who reads while it is written finds nothing, and is told when it is done. Its
    methods block.
    """

    def __init__(self, descriptor: int) -> None:
        """Take over the descriptor of a board, which the processes of the node have inherited."""
        self._descriptor = descriptor

    @classmethod
    def create(cls) -> Self:
        """Make one with nothing on it."""
        return cls(os.memfd_create("penstock-configuration", os.MFD_CLOEXEC))

    def fileno(self) -> int:
        """The descriptor, to be inherited."""
        return self._descriptor

    def post(self, revision: int, confirmed_at: float, content: bytes) -> None:
        """Replace what is there; raises OSError where memory is short, and there is nothing then."""
        os.ftruncate(self._descriptor, 0)
        _write(self._descriptor, content, _HEADER.size)
        header = _HEADER.pack(len(content), zlib.crc32(content), revision, confirmed_at)
        _write(self._descriptor, header, 0)

    def read(self, unless: int = 0) -> tuple[bytes, float] | None:
        """Give content, and when it was confirmed; None where there is none, or of the revision `unless`."""
        header = os.pread(self._descriptor, _HEADER.size, 0)
        if len(header) < _HEADER.size:
            return None
        length, checksum, revision, confirmed_at = _HEADER.unpack(header)
        if revision in (0, unless):
            return None
        content = _read(self._descriptor, length, _HEADER.size)
        return (content, confirmed_at) if zlib.crc32(content) == checksum else None

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


def _write(descriptor: int, content: bytes, offset: int) -> None:
    rest = memoryview(content)
    while rest:
        count = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[count:], offset + count


def _read(descriptor: int, length: int, offset: int) -> bytes:
    pieces = []
    while length and (piece := os.pread(descriptor, length, offset)):
        pieces.append(piece)
        length, offset = length - len(piece), offset + len(piece)
    return b"".join(pieces)
