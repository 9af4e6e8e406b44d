"""What one client reads a blob through: stored, still arriving, or past a disk that does not help."""

import logging
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, Protocol, Self

from clients.process.buffer import buffer
from clients.process.buffers import Buffers
from dataplane.blobs.detour import Detour, Detours
from dataplane.blobs.errors import BlobFailed, Fault, NotRanged, NotSpooled
from dataplane.blobs.store import OpenFile
from dataplane.blobs.threads import in_thread
from dataplane.blobs.way import Way

logger = logging.getLogger(__name__)

PIECE = 256 * 1024
"""The most bytes that are read at once: what a slow client costs in memory."""
LARGE: Final = 1024 * 1024
"""The most for a client that has taken QUICK pieces in a row without delay; each piece costs some 45 us."""
QUICK: Final = 16
# Seconds that taking a piece may last.
_PROMPT: Final = 0.05
FAR: Final = 8 * 1024 * 1024
"""Bytes from what is spooled to a wanted part, beyond which the part is asked for by itself."""
# To clear a new one for each piece costs a twentieth of what it takes to encrypt it.
_SPARE: Final = 8
_buffers: Final = Buffers(LARGE, _SPARE)


class Growth(Protocol):
    """How far a file has grown that is still being written."""

    in_order: bool
    """Whether its source was seen to give no part without all that comes before it."""

    @property
    def reached(self) -> int:
        """Bytes that are in the file."""
        ...

    async def available(self, position: int) -> int:
        """Wait until there are bytes from position on; returns where they end. Raises what ended it."""
        ...


class BlobReader:
    """An open blob of `size` bytes. Close it; it is a context manager as well.

    `fileno()` and `available()` are enough for a caller who lets the kernel send what is in the file;
    `read()` is for the others, and for what is not.
    """

    def __init__(
        self,
        file: OpenFile | None,
        size: int,
        growth: Growth | None,
        way: Way | None = None,
        detours: Detours | None = None,
        broken: Callable[[OSError | None], None] | None = None,
    ) -> None:
        """Take over file, None where the disk has none; growth is None for a file that is complete.

        With `way` and `detours`, what cannot be had from the file comes from the source. `broken` is told
        why a complete file cannot be read: None where it has lost its end.
        """
        self._broken = broken
        self._file = file
        self._growth = growth
        self._way = way
        self._detours = detours
        self._detour: Detour | None = None
        self._part = (0, 0)
        # Whether it has used any of the large buffers.
        self._large = False
        self.size = size
        self.warm = growth is None and file is not None
        """Whether the blob was in the store when it was opened."""

    def fileno(self) -> int:
        """The descriptor, to read bytes that are available at their own offsets.

        Raises ValueError once closed, and where there is no file at all.
        """
        if self._file is None:
            raise ValueError("this blob is in no file")
        return self._file.fileno()

    async def available(self, position: int, stop: int | None = None) -> int:
        """Wait until bytes from position (below size) on may be served; returns where they end, exclusive.

        That is `position` itself where they are in no file: `read` gives them, and all that follow. Where
        the caller wants them only to `stop` (exclusive), no more are asked for.

        Waiting here for the first byte before sending a status lets a failure that shows at once be
        answered as an error, and not by a body that is cut off. Raises UpstreamError or BlobFailed.
        """
        if self._detour is not None:
            return position
        growth = self._growth
        if growth is None and self._file is not None:
            return self.size
        stop = self.size if stop is None else stop
        if growth is not None:
            if self._is_far(growth, position):
                try:
                    await self._turn(position, stop, skips=False).begun()
                except NotRanged:
                    growth.in_order = True
                    self._leave()
                else:
                    return position
            try:
                return await growth.available(position)
            except NotSpooled:
                if self._way is None:
                    raise
        await self._turn(position, stop).begun()
        return position

    async def complete(self) -> None:
        """Wait until all of the blob is in the file, and verified; asks for nothing. Raises what ended it."""
        if self._growth is not None and self.size:
            await self._growth.available(self.size - 1)

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[memoryview, None]:
        """Give bytes from start to stop (exclusive; the end by default), in pieces of up to PIECE, or LARGE.

        A piece is read when it is asked for. Raises UpstreamError or BlobFailed when the rest cannot be had.
        """
        stop = self.size if stop is None else stop
        if not 0 <= start <= stop <= self.size:
            raise ValueError(f"bytes {start} to {stop} of a blob of {self.size}")
        quick = 0
        while start < stop:
            end = await self.available(start, stop)
            most = LARGE if quick >= QUICK else PIECE
            piece = await self._piece(start, min(end, stop, start + most) - start)
            if not piece:
                break
            given = time.monotonic()
            yield piece
            quick = quick + 1 if time.monotonic() - given < _PROMPT else 0
            start += len(piece)
        if start < stop:
            async with aclosing(self._past_the_disk(start, stop)) as pieces:
                async for piece in pieces:
                    yield piece

    def close(self) -> None:
        """Let go of the file, and of what is asked for; may be called again."""
        self._leave()
        if self._file is not None:
            self._file.close()
        if self._large:
            _buffers.trim()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _piece(self, start: int, length: int) -> memoryview:
        """Read from the file; nothing, where that is not where the bytes are to be had."""
        if not length:
            return memoryview(b"")
        if length > PIECE:
            self._large = True
            piece = _buffers.take()[:length]
        else:
            piece = buffer(length)
        failure = None
        try:
            # What is in the page cache, which nearly everything is, costs no trip to a thread ...
            count = os.preadv(self.fileno(), [piece], start, os.RWF_NOWAIT)
        except OSError:
            # ... and what is not does not keep every other client waiting for the disk.
            count, failure = await self._slowly(piece, start)
        if not count and self._broken is not None:
            self._broken(failure)
        if not count and self._way is None:
            cause = "has lost its end" if failure is None else f"cannot be read: {failure.strerror}"
            raise BlobFailed(Fault.NODE, f"This node's copy of the blob {cause}: pull again.")
        return piece[:count]

    async def _slowly(self, piece: memoryview, start: int) -> tuple[int, OSError | None]:
        try:
            return await in_thread(None, os.preadv, self.fileno(), [piece], start), None
        except OSError as error:
            logger.exception("byte %d of a blob of %d could not be read from disk", start, self.size)
            return 0, error

    async def _past_the_disk(self, start: int, stop: int) -> AsyncGenerator[memoryview, None]:
        if self._detour is None or self._part[0] != start or self._part[1] < stop:
            self._turn(start, stop)
        detour = self._detour
        assert detour is not None  # noqa: S101 - made just now
        try:
            async with aclosing(detour.pieces()) as pieces:
                async for piece in pieces:
                    wanted = piece[: stop - start]
                    start += len(wanted)
                    yield wanted
                    if start == stop and self._part[1] != stop:
                        return
        finally:
            self._leave()

    def _is_far(self, growth: Growth, position: int) -> bool:
        far = position - growth.reached > FAR and not growth.in_order
        return far and self._detours is not None and self._detours.free

    def _leave(self) -> None:
        detour, self._detour = self._detour, None
        if detour is not None:
            detour.close()

    def _turn(self, start: int, stop: int, *, skips: bool = True) -> Detour:
        self._leave()
        if self._way is None or self._detours is None:
            raise BlobFailed(Fault.NODE, "This node's copy of the blob cannot be read: pull again.")
        spooled = self._growth is not None and self._growth.reached >= start
        self._detour = self._detours.begin(
            self._way,
            start,
            stop,
            self._file if spooled else None,
            from_zero=self._growth is None and stop == self.size,
            skips=skips,
        )
        self._part = (start, stop)
        return self._detour
