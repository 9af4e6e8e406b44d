"""The growing file of a blob that is being fetched: written behind its caller, hashed behind the writing."""

import asyncio
import errno
import logging
import os
from io import FileIO
from pathlib import Path

from clients.oci.digest import Digest
from dataplane.blobs.pulse import Pulse
from dataplane.blobs.threads import Threads

logger = logging.getLogger(__name__)

PIECE = 256 * 1024
"""Bytes from which on a write is worth its trip to a thread."""
_GATHER = 0.002  # seconds that less than a piece waits for more
_PENDING = 1024 * 1024  # bytes that may wait in memory to be written
_CHUNKS = 1024  # chunks that may: the most that one writev takes (IOV_MAX)
_HASH_LAG = 32 * 1024 * 1024  # bytes that hashing may be behind: the longest time that it holds back the end
_HASH_STEP = 8 * 1024 * 1024
_HASH_BUFFER = 256 * 1024  # stays in a core's cache between being read and being hashed


class Spool:
    """One file that grows to `size` bytes; `write_behind` and `hash_behind` run beside `append`.

    The hash is of what is in the file, read back through the page cache: memory stays small however far
    hashing is behind, and what was verified is what will be kept.
    """

    def __init__(self, path: Path, digest: Digest, size: int, threads: Threads) -> None:
        """Create the file; raises OSError."""
        self.path = path
        self.size = size
        self.accepted = 0
        """Bytes taken from the caller."""
        self.written = 0
        """Bytes in the file, for everybody to read."""
        self.grown = Pulse()
        """Beats when `written` has changed."""
        self._digest = digest
        self._hasher = digest.hasher()
        self._hashed = 0
        self._threads = threads
        self._pending: list[bytes] = []
        self._held = 0
        self._arrived = Pulse()
        self._room = Pulse()
        # Asked for its descriptor when closed, it raises; a bare number might mean another file by then.
        self._file = FileIO(path, "x+", opener=_private)

    def open(self) -> FileIO:
        """Open the file for one more reader, who may keep it for longer than the spool lives."""
        return FileIO(os.dup(self._file.fileno()), "rb")

    async def append(self, chunk: bytes) -> None:
        """Take the next bytes; waits while too much is unwritten or unhashed: slows the upstream down."""
        if not chunk:
            return
        while (
            self._held >= _PENDING
            or len(self._pending) >= _CHUNKS
            or self.accepted - self._hashed >= _HASH_LAG
        ):
            await self._room.wait()
        self._pending.append(chunk)
        self._held += len(chunk)
        self.accepted += len(chunk)
        self._arrived.beat()

    async def write_behind(self) -> None:
        """Write what was appended until the file has `size` bytes; raises OSError when the disk fails."""
        while self.written < self.size:
            if not self._pending:
                await self._arrived.wait()
                continue
            if self._held < PIECE and self.accepted < self.size:
                await asyncio.sleep(_GATHER)
            chunks, length = self._pending, self._held
            self._pending, self._held = [], 0
            self._room.beat()
            await self._threads.disk(_write, self._file.fileno(), chunks, self.written)
            self.written += length
            self.grown.beat()

    async def hash_behind(self) -> None:
        """Hash what was written until the file has `size` bytes; raises OSError when the disk fails."""
        while self._hashed < self.size:
            stop = min(self.written, self._hashed + _HASH_STEP)
            if stop - self._hashed < PIECE and stop < self.size:
                await self.grown.wait()
                continue
            await self._threads.hash(self._hash, self._hashed, stop)
            self._hashed = stop
            self._room.beat()

    def is_right(self) -> bool:
        """Tell whether the bytes are those that the digest names, once hashing has ended."""
        return self._hashed == self.size and self._hasher.hexdigest() == self._digest.encoded

    async def discard(self) -> None:
        """Remove the file unless it has moved on, then close it; until then it can be opened."""
        try:
            await self._threads.disk(_unlink, self.path)
        except OSError:
            logger.exception("the spool file %s could not be removed", self.path)
        finally:
            self._file.close()

    def _hash(self, start: int, stop: int) -> None:
        buffer = memoryview(bytearray(min(_HASH_BUFFER, stop - start)))
        while start < stop:
            length = os.preadv(self._file.fileno(), [buffer[: stop - start]], start)
            if not length:
                raise OSError(errno.EIO, "the spool file has lost its end")
            self._hasher.update(buffer[:length])
            start += length


def _write(descriptor: int, chunks: list[bytes], offset: int) -> None:
    unwritten: list[bytes | memoryview] = list(chunks)
    while unwritten:
        length = os.pwritev(descriptor, unwritten, offset)
        offset += length
        done = 0
        while done < len(unwritten) and length >= len(unwritten[done]):
            length -= len(unwritten[done])
            done += 1
        del unwritten[:done]
        if length:
            unwritten[0] = memoryview(unwritten[0])[length:]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o640)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
