"""Hashing files without keeping them in memory."""

import errno
import os
from typing import Final

from clients.oci.digest import Digest
from clients.process.buffer import buffer

# Each piece costs two turns at the interpreter's lock, which the event loop wants as well.
_BUFFER: Final = 1024 * 1024


class FileHash:
    """The hash of a file's first `position` bytes, to be compared with a digest. For threads: it blocks."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._hasher = digest.hasher()
        self.position = 0

    def read(self, descriptor: int, stop: int) -> None:
        """Go on to stop, in the file; raises OSError, also where the file ends before."""
        piece = buffer(min(_BUFFER, max(0, stop - self.position)))
        while self.position < stop:
            length = os.preadv(descriptor, [piece[: stop - self.position]], self.position)
            if not length:
                raise OSError(errno.EIO, "the file has lost its end")
            self.add(piece[:length])

    def add(self, *chunks: bytes | memoryview) -> None:
        """Go on with bytes that are in memory."""
        for chunk in chunks:
            self._hasher.update(chunk)
            self.position += len(chunk)

    def is_right(self) -> bool:
        """Tell whether the bytes so far are those that the digest names."""
        return self._hasher.hexdigest() == self._digest.encoded
