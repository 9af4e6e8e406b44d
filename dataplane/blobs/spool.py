"""The growing file of a blob that is being fetched: written and hashed behind its caller."""

import asyncio
import logging
import os
from io import FileIO
from pathlib import Path

from clients.oci.digest import Digest
from dataplane.blobs.hashing import FileHash
from dataplane.blobs.held import hold
from dataplane.blobs.pulse import Pulse
from dataplane.blobs.threads import Threads

logger = logging.getLogger(__name__)

SPOOL_SUFFIX = ".spool"
PIECE = 1024 * 1024
"""Bytes from which on a write is worth its trip to a thread."""
_GATHER = 0.002  # seconds that less than a piece waits for more
_PENDING = 1024 * 1024  # bytes that may wait in memory to be written
_CHUNKS = 1024  # chunks that may wait: the most that one writev takes (IOV_MAX)
_HASH_STEP = 8 * 1024 * 1024  # bytes that are read back before what has been appended meanwhile is written


class Spool:
    """One file that grows to `size` bytes; `keep_behind` runs beside `append`.

    What was appended is written, and hashed from memory at the same time. What another process wrote is read
    back from the file; until that is hashed, what is appended is written all the same.
    """

    def __init__(
        self, path: Path, digest: Digest, size: int, threads: Threads, *, adopt: bool = False
    ) -> None:
        """Create the file, or adopt the bytes that another process wrote into it; raises OSError."""
        # Asked for its descriptor when closed, it raises; a bare number might mean another file by then.
        self._file = FileIO(path, "r+" if adopt else "x+", opener=private)
        hold(self._file)
        self.path = path
        self.size = size
        self.accepted = min(size, os.fstat(self._file.fileno()).st_size)
        """Bytes taken from the caller."""
        self.written = self.accepted
        """Bytes in the file, for everybody to read."""
        self.grown = Pulse()
        """Beats when `written` has changed."""
        self._digest = digest
        self._hash = FileHash(digest)
        self._threads = threads
        self._pending: list[bytes | memoryview] = []
        self._held = 0
        self._arrived = Pulse()
        self._room = Pulse()

    @property
    def inode(self) -> int:
        """Number of the file on its file system, whatever its name."""
        return os.fstat(self._file.fileno()).st_ino

    def open(self) -> FileIO:
        """Open the file for one more reader, who may keep it for longer than the spool lives."""
        return FileIO(os.dup(self._file.fileno()), "rb")

    async def append(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes; waits while too many wait to be written: slows the upstream down."""
        if not chunk:
            return
        while self._held >= _PENDING or len(self._pending) >= _CHUNKS:
            await self._room.wait()
        self._pending.append(chunk)
        self._held += len(chunk)
        self.accepted += len(chunk)
        self._arrived.beat()

    async def keep_behind(self) -> None:
        """Write and hash what was appended until that is `size` bytes; raises OSError when the disk fails."""
        while self._hash.position < self.size:
            if self._pending:
                # The first bytes are what clients wait for.
                if self.written and self._held < PIECE and self.accepted < self.size:
                    await asyncio.sleep(_GATHER)
                await self._keep()
            elif self._hash.position == self.written:
                await self._arrived.wait()
            # In turns with writing: an upstream as quick as the disk would leave all of it to the end.
            if (hashed := self._hash.position) < self.written:
                stop = min(self.written, hashed + _HASH_STEP)
                await self._threads.hash(self._hash.read, self._file.fileno(), stop)

    async def _keep(self) -> None:
        chunks, length = self._pending, self._held
        self._pending, self._held = [], 0
        self._room.beat()
        if self._hash.position < self.written:
            # Hashing is behind with what another process wrote, and reads these back later.
            await self._write(chunks, length)
            return
        hashing = asyncio.create_task(self._threads.hash(self._hash.add, *chunks))
        try:
            await self._write(chunks, length)
        except BaseException:
            hashing.cancel()
            await asyncio.wait([hashing])
            raise
        await hashing

    async def _write(self, chunks: list[bytes | memoryview], length: int) -> None:
        await self._threads.disk(_write, self._file.fileno(), chunks, self.written)
        self.written += length
        self.grown.beat()

    def is_right(self) -> bool:
        """Tell whether the bytes are those that the digest names, once hashing has ended."""
        return self._hash.position == self.size and self._hash.is_right()

    def clear(self) -> None:
        """Begin again from nothing, while nothing runs and nobody has been given a byte; raises OSError."""
        os.ftruncate(self._file.fileno(), 0)
        self.accepted = self.written = 0
        self._hash = FileHash(self._digest)

    async def discard(self) -> None:
        """Remove the file unless it has moved on, then close it; until then it can be opened.

        The caller holds the claim, so that no other process has a file of this name.
        """
        try:
            await self._threads.disk(_unlink, self.path)
        except OSError:
            logger.exception("the spool file %s could not be removed", self.path)
        finally:
            self.leave()

    def leave(self) -> None:
        """Close the file, and leave it where it is, for whoever goes on with it."""
        self._file.close()


def _write(descriptor: int, chunks: list[bytes | memoryview], offset: int) -> None:
    unwritten = list(chunks)
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


def private(path: str, flags: int) -> int:
    """Open a file that other users can neither read nor write."""
    return os.open(path, flags, 0o640)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
