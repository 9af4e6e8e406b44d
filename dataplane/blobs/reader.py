"""What one client reads a blob through, whether it is stored or still arriving."""

import logging
import os
from collections.abc import AsyncGenerator
from io import FileIO
from typing import Protocol, Self

from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.blobs.threads import in_thread

logger = logging.getLogger(__name__)

PIECE = 256 * 1024
"""The most bytes that are read at once: what a slow client costs in memory."""


class Growth(Protocol):
    """How far a file has grown that is still being written."""

    async def available(self, position: int) -> int:
        """Wait until there are bytes from position on; returns where they end. Raises what ended it."""
        ...


class BlobReader:
    """An open blob of `size` bytes. Close it; it is a context manager as well.

    `fileno()` and `available()` are enough for a caller who lets the kernel send; `read()` is for the others.
    """

    def __init__(self, file: FileIO, size: int, growth: Growth | None) -> None:
        """Take over file; growth is None for a complete blob."""
        self._file = file
        self._growth = growth
        self.size = size
        self.warm = growth is None
        """Whether the blob was in the store when it was opened."""

    def fileno(self) -> int:
        """The descriptor, to read bytes that are available at their own offsets; ValueError once closed."""
        return self._file.fileno()

    async def available(self, position: int) -> int:
        """Wait until bytes from position (below size) on may be served; returns where they end, exclusive.

        Waiting here for the first byte before sending a status lets a failure that shows at once be
        answered as an error, and not by a body that is cut off. Raises UpstreamError or BlobFailed.
        """
        return self.size if self._growth is None else await self._growth.available(position)

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[memoryview, None]:
        """Give bytes from start to stop (exclusive; the end by default), in pieces of at most 256 KiB.

        A piece is read when it is asked for. Raises UpstreamError or BlobFailed when the rest cannot be had.
        """
        stop = self.size if stop is None else stop
        if not 0 <= start <= stop <= self.size:
            raise ValueError(f"bytes {start} to {stop} of a blob of {self.size}")
        while start < stop:
            end = min(await self.available(start), stop, start + PIECE)
            piece = await self._piece(start, end - start)
            if not piece:
                raise BlobFailed(Fault.NODE, "This node's copy of the blob has lost its end: pull again.")
            yield piece
            start += len(piece)

    def close(self) -> None:
        """Let go of the file; may be called again."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _piece(self, start: int, length: int) -> memoryview:
        buffer = memoryview(bytearray(length))
        try:
            # What is in the page cache, which nearly everything is, costs no trip to a thread ...
            count = os.preadv(self.fileno(), [buffer], start, os.RWF_NOWAIT)
        except OSError:
            # ... and what is not does not keep every other client waiting for the disk.
            count = await self._slowly(buffer, start)
        return buffer[:count]

    async def _slowly(self, buffer: memoryview, start: int) -> int:
        try:
            return await in_thread(None, os.preadv, self.fileno(), [buffer], start)
        except OSError as error:
            logger.exception("byte %d of a blob of %d could not be read from disk", start, self.size)
            raise BlobFailed(Fault.NODE, f"This node cannot read the blob: {error.strerror}.") from error
